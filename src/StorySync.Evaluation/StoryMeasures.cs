namespace StorySync.Evaluation;

/// <summary>Represents the measures of one story. A measure is null where it is not defined: without masks, or with the subject in fewer
/// than two scenes. With several subjects, those of subjects are means over them.</summary>
public sealed record StoryMeasures
{
    /// <summary>Gets <see cref="Evaluation.ClipI"/> of the subjects alone: cut out (<see cref="SubjectImages.Crop"/>), the background
    /// removed (<see cref="SubjectImages.WithoutBackground"/>).</summary>
    public double? ClipI { get; init; }

    /// <summary>Gets <see cref="Evaluation.ClipI"/> of the whole images.</summary>
    public double? ClipIImage { get; init; }

    /// <summary>Gets <see cref="Evaluation.ClipI"/> of the subjects cut out with what is around them.</summary>
    public double? ClipICrop { get; init; }

    /// <summary>Gets <see cref="Evaluation.ClipI"/> of the images with their background replaced by noise (<see
    /// cref="SubjectImages.OnNoise"/>).</summary>
    public double? ClipINoise { get; init; }

    /// <summary>Gets the mean of the scenes' <see cref="Evaluation.ClipT.Score"/>.</summary>
    public double ClipT { get; init; }

    /// <summary>Gets the mean of the scenes' <see cref="Evaluation.ClipT.Cosine"/>.</summary>
    public double ClipTCosine { get; init; }

    /// <summary>Gets <see cref="SubjectColor.Distance"/>.</summary>
    public double? Color { get; init; }

    /// <summary>Gets <see cref="PatchSimilarity.Mean"/>.</summary>
    public double? Patches { get; init; }

    /// <summary>Gets <see cref="Evaluation.Layout.Diversity"/>.</summary>
    public double? Layout { get; init; }

    /// <summary>Gets <see cref="Evaluation.Layout.Kept"/> against another run's regions; null if none was given.</summary>
    public double? LayoutKept { get; init; }

    /// <summary>Gets the mean share of the image that a subject takes, 0 … 1.</summary>
    public double? Area { get; init; }
}
