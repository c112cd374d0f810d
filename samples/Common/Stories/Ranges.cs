using StorySync.Documents;

namespace StorySync.Samples;

/// <summary>What numbers may be, on the command line.</summary>
internal static class Ranges
{
    public static NumberRange Scenes { get; } = new(1, 100_000);

    public static NumberRange Hires { get; } = new(2, 8);

    public static NumberRange Strength { get; } = new(0, 1, IsOpen: true);

    public static NumberRange GuidanceEnd { get; } = new(0, 1, IsOpen: true);

    public static NumberRange Dropout { get; } = new(0, 0.99);

    public static NumberRange Threshold { get; } = new(-1, 1);
}
