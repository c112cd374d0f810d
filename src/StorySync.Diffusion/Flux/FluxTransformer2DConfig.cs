using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Flux;

/// <summary>Represents the <c>config.json</c> of a <see cref="FluxTransformer2DModel"/>; names and defaults are diffusers'.</summary>
public sealed record FluxTransformer2DConfig
{
    /// <summary>Gets a predicted token has this many pixels squared for each out channel.</summary>
    [Range(1, 64)]
    public int PatchSize { get; init; } = 1;

    /// <summary>Gets the width of an image token.</summary>
    [Range(1, 1 << 20)]
    public int InChannels { get; init; } = 64;

    /// <summary>Gets the number of channels of the prediction; null for as many as <see cref="InChannels"/>.</summary>
    [Range(1, 1 << 20)]
    public int? OutChannels { get; init; }

    /// <summary>Gets the number of double blocks.</summary>
    [Range(0, 4096)]
    [LayerCount("transformer_blocks")]
    public int NumLayers { get; init; } = 19;

    /// <summary>Gets the number of single blocks.</summary>
    [Range(0, 4096)]
    [LayerCount("single_transformer_blocks")]
    public int NumSingleLayers { get; init; } = 38;

    /// <summary>Gets the width of a head.</summary>
    [Range(1, 8192)]
    public int AttentionHeadDim { get; init; } = 128;

    /// <summary>Gets the number of heads.</summary>
    [Range(1, 4096)]
    public int NumAttentionHeads { get; init; } = 24;

    /// <summary>Gets the width of a text token.</summary>
    [Range(1, 1 << 20)]
    public int JointAttentionDim { get; init; } = 4096;

    /// <summary>Gets the width of the pooled text.</summary>
    [Range(1, 1 << 20)]
    public int PooledProjectionDim { get; init; } = 768;

    /// <summary>Gets a value indicating whether the guidance scale is embedded (dev) or there is none (schnell).</summary>
    public bool GuidanceEmbeds { get; init; }

    /// <summary>Gets each position axis' share of the head, all even; they sum to <see cref="AttentionHeadDim"/>.</summary>
    [Range(2, 8192)]
    [MaxLength(16)]
    public IReadOnlyList<int> AxesDimsRope { get; init; } = [16, 56, 56];
}
