using StorySync.Attention;
using StorySync.Diffusion.Layers;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>What the attention layers of double and single blocks have in common.</summary>
internal static class JointAttention
{
    /// <summary>The norm of queries and keys, head by head.</summary>
    public static RmsNorm Norm(int headWidth) => new(headWidth, epsilon: 1e-6);

    /// <summary>(batch, tokens, heads · head width) to (batch, heads, tokens, head width).</summary>
    public static Tensor SplitHeads(this IAttentionLayer attention, Tensor x) =>
        x.unflatten(2, [attention.Layer.Heads, attention.Layer.HeadWidth]).transpose(1, 2);

    /// <summary>Lets the processor attend.</summary>
    /// <returns>(batch, tokens, heads · head width).</returns>
    public static Tensor Attend(this IAttentionLayer attention, Tensor query, Tensor key, Tensor value, FluxPass pass)
    {
        var inputs = new AttentionInputs(query, key, value, pass.Grid, pass.TextTokens) { Rotary = pass.Rotary };
        var attended = (pass.Context.Processor ?? attention.Processor).Attend(attention.Layer, inputs, pass.Context);
        return attended.transpose(1, 2).flatten(2);
    }
}
