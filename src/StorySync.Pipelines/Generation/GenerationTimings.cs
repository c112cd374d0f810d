namespace StorySync.Pipelines;

/// <summary>Represents how long the stages of a generation took.</summary>
public sealed class GenerationTimings
{
    /// <summary>Gets the time for prompts, and for images to begin from.</summary>
    public required TimeSpan Encoding { get; init; }

    /// <summary>Gets the time of all steps.</summary>
    public required TimeSpan Denoising { get; init; }

    /// <summary>Gets the time for latents to become images.</summary>
    public required TimeSpan Decoding { get; init; }

    /// <summary>Gets the time of the whole generation.</summary>
    public TimeSpan Total => Encoding + Denoising + Decoding;
}
