namespace StorySync.Evaluation;

/// <summary>Represents the measures of scenes against the anchors that they read: means over each scene with each anchor, subject by
/// subject. A figure is null where there is nothing to take it of.</summary>
public sealed record AnchorMeasures
{
    /// <summary>Gets <see cref="Evaluation.ClipI.Between"/> of the subjects alone, cut out and with the background removed, as in <see
    /// cref="StoryMeasures.ClipI"/>.</summary>
    public double? ClipI { get; init; }

    /// <summary>Gets <see cref="SubjectColor.Between"/>.</summary>
    public double? Color { get; init; }
}
