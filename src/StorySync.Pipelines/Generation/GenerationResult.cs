using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents the result of an image generation. Dispose the instance to release its latents.</summary>
public sealed class GenerationResult : IDisposable
{
    private readonly ResultLatents latents = new(null);

    /// <summary>Gets the images, in the order of the prompts; empty if only latents were asked for.</summary>
    public required IReadOnlyList<RgbImage> Images { get; init; }

    /// <summary>Gets the seed of each image, also where the request named none.</summary>
    public required IReadOnlyList<long> Seeds { get; init; }

    /// <summary>Gets how long the stages took.</summary>
    public required GenerationTimings Timings { get; init; }

    /// <summary>Gets what the caller should know of the generation: options without effect, prompts that were cut, and the like.</summary>
    public IReadOnlyList<GenerationWarning> Warnings { get; init; } = [];

    /// <summary>Gets the latents that the images were decoded from, one row per image. They are not part of the result's JSON.</summary>
    /// <exception cref="ObjectDisposedException">The result was disposed.</exception>
    /// <exception cref="InvalidOperationException">The result was read from JSON.</exception>
    [JsonIgnore]
    public Tensor Latents
    {
        get => latents.Of(this);
        internal init => latents = new(value);
    }

    /// <inheritdoc/>
    public void Dispose() => latents.Dispose();
}
