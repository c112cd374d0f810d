namespace StorySync.Pipelines;

/// <summary>Represents an estimate of how long a story's denoising takes: one step is measured, and its time for each row of the model's
/// batch is taken for all rows of all steps.</summary>
/// <remarks>The text encoders and the decoder come on top. Steps with more rows can take less for each, other work on the machine takes its
/// share, and techniques take part in some steps only: it is a figure to decide by, no promise.</remarks>
public sealed record TimePlan
{
    /// <summary>Gets the time of the step that was measured: the second of the largest batch, after one that warms; the first where
    /// there is one step.</summary>
    public required TimeSpan Step { get; init; }

    /// <summary>Gets the rows that the measured step had: with guidance two for each image, and twice as many with an unmodified
    /// branch.</summary>
    public required long StepRows { get; init; }

    /// <summary>Gets the rows of all steps of all batches, with those of anchors that are computed along.</summary>
    public required long Rows { get; init; }

    /// <summary>Gets the number of scenes that the time is for.</summary>
    public required int Scenes { get; init; }

    /// <summary>Gets the time of all steps.</summary>
    public TimeSpan Total => Step * ((double)Rows / StepRows);

    /// <summary>Gets the time of all steps for each scene.</summary>
    public TimeSpan PerScene => Total / Scenes;

    /// <summary>Gets how many steps like the measured one there are in a second.</summary>
    public double StepsPerSecond => TimeSpan.FromSeconds(1) / Step;
}
