using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What a run made. Dispose it to free the latents.</summary>
/// <param name="Images">The pictures, in the order of the prompts; empty if only latents were asked for.</param>
/// <param name="Latents">The latents that the pictures were decoded from, one row a picture.</param>
/// <param name="Seeds">The seed of each picture.</param>
/// <param name="Timings">How long the parts took.</param>
public sealed record GenerationResult(IReadOnlyList<RgbImage> Images, Tensor Latents, IReadOnlyList<long> Seeds, GenerationTimings Timings) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Latents.Dispose();
}

/// <summary>How long the parts of a run took.</summary>
/// <param name="Encoding">Prompts, and pictures to begin from.</param>
/// <param name="Denoising">All steps.</param>
/// <param name="Decoding">Latents into pictures.</param>
public sealed record GenerationTimings(TimeSpan Encoding, TimeSpan Denoising, TimeSpan Decoding)
{
    /// <summary>The whole run.</summary>
    public TimeSpan Total => Encoding + Denoising + Decoding;
}
