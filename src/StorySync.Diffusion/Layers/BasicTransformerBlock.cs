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
        using var scope = NewDisposeScope();
        var x = attn1.call(norm1.call(hidden), onlyCrossAttention ? inputs.Text : null, inputs).add_(hidden);
        x = attn2.call(norm2.call(x), inputs.Text, inputs).add_(x);
        x = ff.call(norm3.call(x)).add_(x);
        return x.MoveToOuterDisposeScope();
    }
}
