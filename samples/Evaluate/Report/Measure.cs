namespace StorySync.Samples.Evaluate;

/// <summary>A figure of the report.</summary>
/// <param name="Key">Its name in files and tables.</param>
/// <param name="Meaning">What it is.</param>
/// <param name="Better">Which way is better; empty if neither is.</param>
/// <param name="Format">How it is written.</param>
/// <param name="Of">Takes it.</param>
internal sealed record Measure(string Key, string Meaning, string Better, string Format, Func<StoryRecord, double?> Of)
{
    private const string Higher = "higher is better";
    private const string Lower = "lower is better";

    public static Measure ClipI { get; } =
        new("clip_i", "CLIP-I of the subjects, background removed: how alike they are", Higher, "f3", r => r.Measures.ClipI);

    public static Measure ClipT { get; } = new("clip_t", "CLIP-T, 2.5 × cosine of image and prompt", Higher, "f3", r => r.Measures.ClipT);

    public static Measure Color { get; } = new("color", "distance of the subjects' mean colors, 0–255 scale", Lower, "f1", r =>
        r.Measures.Color);

    public static Measure Layout { get; } =
        new("layout", "1 − IoU of masks between scenes: how diverse poses and places are", Higher, "f3", r => r.Measures.Layout);

    public static Measure Kept { get; } =
        new("layout_kept", "IoU of masks with the plain run's: how much of its layout stays", Higher, "f3", r => r.Measures.LayoutKept);

    public static Measure ClipIAnchors { get; } =
        new("clip_i_anchors", "CLIP-I of the new scenes' subjects with the anchors'", Higher, "f3", r => r.AgainstAnchors?.ClipI);

    public static Measure ClipINew { get; } =
        new("clip_i_new", "CLIP-I of the new scenes' subjects with each other", Higher, "f3", r => r.NewScenes?.ClipI);

    public static Measure ColorAnchors { get; } =
        new("color_anchors", "distance of the new scenes' mean colors from the anchors'", Lower, "f1", r => r.AgainstAnchors?.Color);

    public static Measure ColorNew { get; } =
        new("color_new", "distance of the new scenes' mean colors from each other", Lower, "f1", r => r.NewScenes?.Color);

    public static Measure LayoutNew { get; } =
        new("layout_new", "1 − IoU of masks between new scenes", Higher, "f3", r => r.NewScenes?.Layout);

    public static Measure Seconds { get; } = new("seconds", "time to make the story", Lower, "f1", r => r.Seconds);

    public static Measure SecondsPerScene { get; } = new("seconds_per_scene", "time to make a scene", Lower, "f2", r => r.SecondsPerScene);

    public static Measure Memory { get; } = new("peak_mib", "most memory that the process held, MiB", Lower, "f0", r => r.PeakMiB);

    public static IReadOnlyList<Measure> All { get; } =
    [
        ClipI,
        ClipT,
        Color,
        Layout,
        Kept,
        ClipIAnchors,
        ClipINew,
        ColorAnchors,
        ColorNew,
        LayoutNew,
        new("patches", "best-match cosine of patches inside the masks", Higher, "f3", r => r.Measures.Patches),
        new("clip_i_image", "CLIP-I of whole images", Higher, "f3", r => r.Measures.ClipIImage),
        new("clip_i_crop", "CLIP-I of the subjects cut out with what is around them", Higher, "f3", r => r.Measures.ClipICrop),
        new("clip_i_noise", "CLIP-I of images whose background is noise", Higher, "f3", r => r.Measures.ClipINoise),
        new("clip_t_cosine", "cosine of image and prompt", Higher, "f3", r => r.Measures.ClipTCosine),
        new("area", "share of the image in the mask", "", "f3", r => r.Measures.Area),
        Seconds,
        SecondsPerScene,
        Memory,
    ];

    /// <summary>Those of the tables that are seen first. The measures of new scenes are among them where a variant has anchors.</summary>
    /// <param name="summaries">What the tables are of.</param>
    public static IReadOnlyList<Measure> Leading(IReadOnlyList<VariantSummary> summaries) =>
    [
        ClipI, ClipT, Color, Layout, Kept,
        .. new[] { ClipIAnchors, ClipINew, ColorAnchors, ColorNew, LayoutNew }.Where(measure =>
            summaries.Any(summary => summary.Figures.ContainsKey(measure.Key))),
        Seconds, Memory,
    ];

    /// <summary>Those that are plotted.</summary>
    public static IReadOnlyList<Measure> Plotted { get; } = [ClipI, ClipT, Color, Layout];

    /// <summary>Those that are plotted where masks are given, and layout is therefore theirs.</summary>
    public static IReadOnlyList<Measure> OfGivenMasks { get; } = [ClipI, ClipT, Color];

    /// <summary>What a story costs.</summary>
    public static IReadOnlyList<Measure> Cost { get; } = [Seconds, SecondsPerScene, Memory];
}
