using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Defines the attention computation of an attention layer. The layer projects, the processor attends, the layer projects
/// back.</summary>
/// <remarks>
/// One processor serves every layer it is set on and, when it is set on a model, every run on that model: what it has to remember
/// belongs to a run, so make a processor that remembers for one run and pass it with that run.
/// Counterpart of diffusers' <c>AttnProcessor</c>.
/// </remarks>
public interface IAttentionProcessor
{
    /// <summary>Attends.</summary>
    /// <param name="layer">The layer that calls.</param>
    /// <param name="inputs">Its queries, keys and values.</param>
    /// <param name="context">The run that the call belongs to.</param>
    /// <returns>The attended values, (batch, heads, query tokens, head width), in the caller's dispose scope.</returns>
    Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context);
}
