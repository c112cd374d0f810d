using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Self-attention with biases (transformers' <c>CLIPAttention</c>). In the text tower a token sees itself and what precedes
/// it, in the image tower everything.</summary>
internal sealed class CLIPAttention : ScopedModule<Tensor, Tensor>
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
    protected override Tensor Compute(Tensor hidden)
    {
        var attended = nn.functional.scaled_dot_product_attention(
            q_proj.call(hidden).SplitHeads(heads), k_proj.call(hidden).SplitHeads(heads), v_proj.call(hidden).SplitHeads(heads),
                is_casual: causal);
        return out_proj.call(attended.MergeHeads());
    }
}
