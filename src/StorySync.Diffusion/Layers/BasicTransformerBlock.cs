using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Self-attention, cross-attention, feed-forward, each behind a layer norm and beside a residual (diffusers'
/// <c>BasicTransformerBlock</c>).</summary>
internal sealed class BasicTransformerBlock : nn.Module<Tensor, BlockInputs, Tensor>
{
    private readonly LayerNorm norm1;
    private readonly AttentionBlock attn1;
    private readonly LayerNorm norm2;
    private readonly AttentionBlock attn2;
    private readonly LayerNorm norm3;
    private readonly FeedForward ff;
    private readonly bool onlyCrossAttention;

    public BasicTransformerBlock(long width, int heads, int headWidth, long textWidth, bool onlyCrossAttention = false)
        : base(nameof(BasicTransformerBlock))
    {
        norm1 = new LayerNorm(width, epsilon: 1e-5);
        attn1 = new AttentionBlock(width, heads, headWidth, onlyCrossAttention ? textWidth : null);
        norm2 = new LayerNorm(width, epsilon: 1e-5);
        attn2 = new AttentionBlock(width, heads, headWidth, textWidth);
        norm3 = new LayerNorm(width, epsilon: 1e-5);
        ff = new FeedForward(width);
        this.onlyCrossAttention = onlyCrossAttention;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, BlockInputs inputs)
    {
        inputs.Context.CancellationToken.ThrowIfCancellationRequested();
        using var first = Beside(hidden, norm1, x => attn1.call(x, onlyCrossAttention ? inputs.Text : null, inputs));
        using var second = Beside(first, norm2, x => attn2.call(x, inputs.Text, inputs));
        return Beside(second, norm3, ff.call);
    }

    /// <summary>A layer behind its norm, added to what came in; nothing in between outlives it.</summary>
    private static Tensor Beside(Tensor input, LayerNorm norm, Func<Tensor, Tensor> layer)
    {
        using var normed = norm.call(input);
        return layer(normed).add_(input);
    }
}
