using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the <c>config.json</c> of <see cref="AutoencoderKL"/>, with diffusers' defaults.</summary>
public sealed record AutoencoderKLConfig : ConvolutionalAutoencoderConfig
{
    /// <inheritdoc/>
    [Range(1, 1 << 20)]
    public override int LatentChannels { get; init; } = 4;

    /// <summary>Gets the size of image it was trained on; the size of a tile where an image is worked on in tiles.</summary>
    [Range(1, 1 << 20)]
    public OneOrMany<int> SampleSize { get; init; } = 32;

    /// <summary>Gets what is taken off the latents before they are scaled; null is nothing.</summary>
    [Range(-1e6, 1e6)]
    public double? ShiftFactor { get; init; }

    /// <summary>Gets the latents' mean by channel; it and <see cref="LatentsStd"/> take the place of the shift.</summary>
    [Range(-1e6, 1e6)]
    public IReadOnlyList<double>? LatentsMean { get; init; }

    /// <summary>Gets the latents' standard deviation by channel.</summary>
    [Range(1e-6, 1e6)]
    public IReadOnlyList<double>? LatentsStd { get; init; }

    /// <summary>Gets a value indicating whether half precision is too narrow for it, so that it runs in float32 then.</summary>
    public bool ForceUpcast { get; init; } = true;

    /// <summary>Gets a value indicating whether a 1 × 1 convolution follows the encoder.</summary>
    public bool UseQuantConv { get; init; } = true;

    /// <summary>Gets a value indicating whether a 1 × 1 convolution precedes the decoder.</summary>
    public bool UsePostQuantConv { get; init; } = true;

    internal override void Validate()
    {
        base.Validate();
        foreach (var (key, values) in new[] { ("latents_mean", LatentsMean), ("latents_std", LatentsStd) })
        {
            if (values is not null && values.Count != LatentChannels)
            {
                throw new ArgumentException(
                    $"'{key}' has {values.Count} entries; it must have one for each of the {LatentChannels} 'latent_channels'.");
            }
        }
    }
}
