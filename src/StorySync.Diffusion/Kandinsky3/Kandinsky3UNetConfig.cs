using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Represents the <c>config.json</c> of a <see cref="Kandinsky3UNet"/>; names and defaults are diffusers'.</summary>
public sealed record Kandinsky3UNetConfig
{
    /// <summary>Gets the number of channels of the latents and of the prediction.</summary>
    [Range(1, 1 << 20)]
    public int InChannels { get; init; } = 4;

    /// <summary>Gets the width of the time embedding.</summary>
    [Range(1, 1 << 20)]
    public int TimeEmbeddingDim { get; init; } = 1536;

    /// <summary>Gets the number of groups of every group norm.</summary>
    [Range(1, 4096)]
    public int Groups { get; init; } = 32;

    /// <summary>Gets the width of a head.</summary>
    [Range(1, 1 << 20)]
    public int AttentionHeadDim { get; init; } = 64;

    /// <summary>Gets the number of pairs of resnets of a level, at least 2.</summary>
    [Range(2, 4096)]
    [LayerCount(@"down_blocks\.\d+\.resnets_in")]
    public int LayersPerBlock { get; init; } = 3;

    /// <summary>Gets the number of channels of each level; up to four levels.</summary>
    [Range(2, 1 << 20)]
    [MaxLength(16)]
    public IReadOnlyList<int> BlockOutChannels { get; init; } = [384, 768, 1536, 3072];

    /// <summary>Gets the width of the text in the model.</summary>
    [Range(1, 1 << 20)]
    public int CrossAttentionDim { get; init; } = 4096;

    /// <summary>Gets the width of the text as it comes from the text encoder.</summary>
    [Range(1, 1 << 20)]
    public int EncoderHidDim { get; init; } = 4096;
}
