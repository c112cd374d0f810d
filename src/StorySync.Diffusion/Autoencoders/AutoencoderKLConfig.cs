using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>The <c>config.json</c> of <see cref="AutoencoderKL"/>, with diffusers' defaults.</summary>
public sealed record AutoencoderKLConfig : ConvolutionalAutoencoderConfig
{
    /// <inheritdoc/>
    [Range(1, 1 << 20)]
    public override int LatentChannels { get; init; } = 4;

    /// <summary>The size of image it was trained on; the size of a tile where a picture is worked on in tiles.</summary>
    [Range(1, 1 << 20)]
    public OneOrMany<int> SampleSize { get; init; } = 32;

    /// <summary>What is taken off the latents before they are scaled; null is nothing.</summary>
    [Range(-1e6, 1e6)]
    public double? ShiftFactor { get; init; }

    /// <summary>The latents' mean by channel; it and <see cref="LatentsStd"/> take the place of the shift.</summary>
    public IReadOnlyList<double>? LatentsMean { get; init; }

    /// <summary>The latents' standard deviation by channel.</summary>
    public IReadOnlyList<double>? LatentsStd { get; init; }

    /// <summary>Whether half precision is too narrow for it, so that it runs in float32 then.</summary>
    public bool ForceUpcast { get; init; } = true;

    /// <summary>Whether a 1 × 1 convolution follows the encoder.</summary>
    public bool UseQuantConv { get; init; } = true;

    /// <summary>Whether a 1 × 1 convolution precedes the decoder.</summary>
    public bool UsePostQuantConv { get; init; } = true;
}
