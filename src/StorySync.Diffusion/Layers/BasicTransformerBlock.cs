using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Self-attention, cross-attention, feed-forward, each after a layer norm and with a residual (diffusers'
/// <c>BasicTransformerBlock</c>).</summary>
internal sealed class BasicTransformerBlock : ScopedModule<Tensor, BlockContext, Tensor>
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

    /// <param name="hidden">Tokens, (batch, tokens, width).</param>
    /// <param name="context">Text, grid and run.</param>
    protected override Tensor Compute(Tensor hidden, BlockContext context)
    {
        var first = Scoped(() => attn1.call(norm1.call(hidden), onlyCrossAttention ? context.Text : null, context).Plus_(hidden));
        var second = Scoped(() => attn2.call(norm2.call(first), context.Text, context).Plus_(first)).Freeing(first);
        return ff.call(norm3.call(second)).Plus_(second);
    }
}
