using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Self-attention with biases (transformers' <c>CLIPAttention</c>). In the text tower a token sees itself and what precedes
/// it, in the image tower everything.</summary>
internal sealed class CLIPAttention : nn.Module<Tensor, Tensor>
{
    private readonly Linear k_proj;
    private readonly Linear v_proj;
    private readonly Linear q_proj;
    private readonly Linear out_proj;
    private readonly int heads;
    private readonly bool causal;

    public CLIPAttention(long width, int heads, bool causal)
        : base(nameof(CLIPAttention))
    {
        k_proj = new Linear(width, width);
        v_proj = new Linear(width, width);
        q_proj = new Linear(width, width);
        out_proj = new Linear(width, width);
        this.heads = heads;
        this.causal = causal;
        RegisterComponents();
    }

    /// <param name="hidden">(batch, tokens, width).</param>
    public override Tensor forward(Tensor hidden)
    {
        using var scope = NewDisposeScope();
        var attended = nn.functional.scaled_dot_product_attention(
            SplitHeads(q_proj.call(hidden)), SplitHeads(k_proj.call(hidden)), SplitHeads(v_proj.call(hidden)), is_casual: causal);
        return out_proj.call(attended.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    private Tensor SplitHeads(Tensor x) => x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);
}
