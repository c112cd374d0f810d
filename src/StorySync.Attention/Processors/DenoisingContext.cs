namespace StorySync.Attention;

/// <summary>What one generation carries through a denoiser's layers. Made per run and passed explicitly, so that several runs can use
/// one model at once.</summary>
public sealed class DenoisingContext
{
    /// <summary>The number of denoising steps of the run, at least 1.</summary>
    public int Steps { get; init; } = 1;

    /// <summary>The step under way, 0 … <see cref="Steps"/> − 1. The pipeline sets it before each forward pass.</summary>
    public int Step { get; set; }

    /// <summary>The guidance half that the forward pass under way computes by itself; null if it computes all rows of the step. The
    /// pipeline sets it before each forward pass.</summary>
    public GuidanceHalf? Half { get; set; }

    /// <summary>Attends in place of the processors that are set on the model, in this run only; null leaves them.</summary>
    public IAttentionProcessor? Processor { get; init; }

    /// <summary>Leaves blocks out in steps that differ little from the one before; null (default) computes all. It stays the
    /// caller's.</summary>
    public BlockCache? BlockCache { get; init; }

    /// <summary>Stops the run: the models look at it between layers.</summary>
    public CancellationToken CancellationToken { get; init; }
}
