namespace StorySync.Samples.Studio;

/// <summary>How much a user can bring.</summary>
public static class StudioLimits
{
    /// <summary>The bytes of a story file.</summary>
    public const int Text = 4 << 20;

    /// <summary>The bytes of an image file.</summary>
    public const int Image = 32 << 20;
}
