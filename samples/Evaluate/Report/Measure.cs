using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>A figure of the report.</summary>
/// <param name="Key">Its name in files and tables.</param>
/// <param name="Meaning">What it is, and which way is better.</param>
/// <param name="Format">How it is written.</param>
/// <param name="Of">Takes it.</param>
internal sealed record Measure(string Key, string Meaning, string Format, Func<StoryRecord, double?> Of)
{
    public static Measure ClipI { get; } = new("clip_i", "CLIP-I of the subjects, background removed; higher is more alike", "f4", r => r.Measures.ClipI);

    public static Measure ClipT { get; } = new("clip_t", "CLIP-T, 2.5 × cosine of picture and prompt; higher is better", "f4", r => r.Measures.ClipT);

    public static Measure Color { get; } = new("colour", "distance of the subjects' mean colours, 0–255 scale; lower is more alike", "f2", r => r.Measures.Color);

    public static Measure Layout { get; } = new("layout", "1 − IoU of masks between scenes; higher is more diverse", "f4", r => r.Measures.Layout);

    public static Measure Kept { get; } = new("layout_kept", "IoU of masks with the plain run's; higher keeps more of its layout", "f4", r => r.Measures.LayoutKept);

    public static Measure Seconds { get; } = new("seconds", "time to make the story", "f2", r => r.Seconds);

    public static Measure Memory { get; } = new("peak_mib", "most memory that the process held, MiB", "f0", r => r.PeakMiB);

    public static IReadOnlyList<Measure> All { get; } =
    [
        ClipI,
        ClipT,
        Color,
        Layout,
        Kept,
        new("patches", "best-match cosine of patches inside the masks; higher is more alike", "f4", r => r.Measures.Patches),
        new("clip_i_picture", "CLIP-I of whole pictures", "f4", r => r.Measures.ClipIPicture),
        new("clip_i_crop", "CLIP-I of the subjects cut out with what is around them", "f4", r => r.Measures.ClipICrop),
        new("clip_i_noise", "CLIP-I of pictures whose background is noise", "f4", r => r.Measures.ClipINoise),
        new("clip_t_cosine", "cosine of picture and prompt", "f4", r => r.Measures.ClipTCosine),
        new("area", "share of the picture in the mask", "f4", r => r.Measures.Area),
        Seconds,
        new("seconds_per_scene", "time to make a scene", "f2", r => r.SecondsPerScene),
        Memory,
    ];

    /// <summary>Those of the table that the program prints.</summary>
    public static IReadOnlyList<Measure> Main { get; } = [ClipI, ClipT, Color, Layout, Kept, Seconds, Memory];

    /// <summary>Those that are plotted.</summary>
    public static IReadOnlyList<Measure> Plotted { get; } = [ClipI, ClipT, Color, Layout];

    /// <summary>The mean over stories and its interval; null where no story has the figure.</summary>
    public Interval? Over(IEnumerable<StoryRecord> records)
    {
        double[] values = [.. records.Select(Of).OfType<double>()];
        return values.Length == 0 ? null : Bootstrap.Mean(values);
    }
}
