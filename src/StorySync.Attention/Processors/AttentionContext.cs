namespace StorySync.Attention;

/// <summary>Represents the denoising step that an attention layer's call belongs to.</summary>
/// <remarks>It is made per run and passed explicitly, so that several runs can use one model simultaneously. What else a run carries
/// through a model is no processor's concern.</remarks>
public class AttentionContext
{
    /// <summary>Gets the number of denoising steps of the run, at least 1.</summary>
    public int Steps { get; init; } = 1;

    /// <summary>Gets or sets the index of the current step, 0 … <see cref="Steps"/> − 1. The pipeline sets it before each forward
    /// pass.</summary>
    public int Step { get; set; }

    /// <summary>Gets or sets the guidance branch that the current forward pass computes by itself; null if it computes all rows of the
    /// step.
    /// The pipeline sets it before each forward pass.</summary>
    public GuidanceBranch? Branch { get; set; }
}
