using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>How a story is made. Plain data: it round-trips through System.Text.Json as it stands.</summary>
public sealed record StoryOptions
{
    /// <summary>What all scenes are to be kept away from; null for nothing.</summary>
    public string? NegativePrompt { get; init; }

    /// <summary>Denoising steps, at least 1; null for the pipeline's default.</summary>
    public int? Steps { get; init; }

    /// <summary>How strongly the pictures follow their prompts; null for the pipeline's default.</summary>
    public double? GuidanceScale { get; init; }

    /// <summary>The first share of the steps that has guidance, above 0, up to 1 (default); see
    /// <see cref="GenerationRequest.GuidanceEnd"/>.</summary>
    public double GuidanceEnd { get; init; } = 1;

    /// <summary>From which change of the denoiser's first block on a step is computed, at least 0; 0 (default) computes every step. See
    /// <see cref="GenerationRequest.BlockCacheThreshold"/>.</summary>
    public double BlockCacheThreshold { get; init; }

    /// <summary>Height of a scene in pixels; null for the model's own.</summary>
    public int? Height { get; init; }

    /// <summary>Width of a scene in pixels; null for the model's own.</summary>
    public int? Width { get; init; }

    /// <summary>The seed of the first scene; each further one has the next seed, unless it has one of its own.</summary>
    public long Seed { get; init; }

    /// <summary>Whether all scenes without a seed of their own begin from the same noise, <see cref="Seed"/>'s: the pictures then
    /// resemble each other in their layout too. Default false.</summary>
    public bool SameNoise { get; init; }

    /// <summary>The techniques, their strengths, layers and steps; null for what suits the model,
    /// <see cref="DiffusionPipeline.DefaultTechniques"/>.</summary>
    public StoryAttentionOptions? Techniques { get; init; }

    /// <summary>After how many steps progress carries a preview of the scenes; 0 (default) for never.</summary>
    public int PreviewInterval { get; init; }
}
