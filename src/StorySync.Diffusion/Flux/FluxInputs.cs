using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>Represents the inputs of a forward pass of a <see cref="FluxTransformer2DModel"/>.</summary>
/// <param name="HiddenStates">Noisy image tokens, (batch, image tokens, in_channels), in the dtype of the weights; see
/// <see cref="FluxLatents.Pack"/>.</param>
/// <param name="Grid">The grid of the image tokens.</param>
/// <param name="EncoderHiddenStates">Encoded prompts, (batch, text tokens, joint_attention_dim).</param>
/// <param name="PooledProjections">Pooled prompts, (batch, pooled_projection_dim).</param>
/// <param name="Timestep">One timestep for all rows, (), or one a row, (batch); 0 … 1.</param>
/// <param name="Rotary">Positions of text and image tokens, text first; see <see cref="FluxTransformer2DModel.EmbedPositions"/>.</param>
public sealed record FluxInputs(
    Tensor HiddenStates,
    TokenGrid Grid,
    Tensor EncoderHiddenStates,
    Tensor PooledProjections,
    Tensor Timestep,
    RotaryEmbedding Rotary)
{
    /// <summary>Gets the guidance scale, one for all rows, (), or one a row, (batch); needed by models with guidance embedding (dev), null
    /// for the others.</summary>
    public Tensor? Guidance { get; init; }
}
