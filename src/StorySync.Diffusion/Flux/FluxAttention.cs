using StorySync.Attention;
using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The attention of a double block: text and image tokens have projections of their own and attend as one sequence
/// (diffusers' <c>FluxAttention</c> with <c>added_kv_proj_dim</c>).</summary>
internal sealed class FluxAttention : nn.Module<Tensor, Tensor, FluxPass, (Tensor Image, Tensor Text)>, IAttentionLayer
{
    private readonly RmsNorm norm_q;
    private readonly RmsNorm norm_k;
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;
    private readonly ModuleList<Linear> to_out;
    private readonly RmsNorm norm_added_q;
    private readonly RmsNorm norm_added_k;
    private readonly Linear add_q_proj;
    private readonly Linear add_k_proj;
    private readonly Linear add_v_proj;
    private readonly Linear to_add_out;

    public FluxAttention(int heads, int headWidth)
        : base(nameof(FluxAttention))
    {
        var width = (long)heads * headWidth;
        norm_q = JointAttention.Norm(headWidth);
        norm_k = JointAttention.Norm(headWidth);
        to_q = new Linear(width, width);
        to_k = new Linear(width, width);
        to_v = new Linear(width, width);
        to_out = new ModuleList<Linear>(new Linear(width, width));
        norm_added_q = JointAttention.Norm(headWidth);
        norm_added_k = JointAttention.Norm(headWidth);
        add_q_proj = new Linear(width, width);
        add_k_proj = new Linear(width, width);
        add_v_proj = new Linear(width, width);
        to_add_out = new Linear(width, width);
        Layer = new AttentionLayer("", AttentionKind.Joint, heads, headWidth);
        RegisterComponents();
    }

    public AttentionLayer Layer { get; set; }

    public IAttentionProcessor Processor { get; set; } = PlainAttention.Instance;

    /// <param name="image">(batch, image tokens, width).</param>
    /// <param name="text">(batch, text tokens, width).</param>
    /// <param name="pass">Positions, grid and run.</param>
    public override (Tensor Image, Tensor Text) forward(Tensor image, Tensor text, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        var attended = Attend(image, text, pass);
        return (
            to_out[0].call(attended.narrow(1, pass.TextTokens, pass.Grid.Tokens)).MoveToOuterDisposeScope(),
            to_add_out.call(attended.narrow(1, 0, pass.TextTokens)).MoveToOuterDisposeScope());
    }

    private Tensor Attend(Tensor image, Tensor text, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        var query = Rotated(add_q_proj.call(text), norm_added_q, to_q.call(image), norm_q, pass.Rotary);
        var key = Rotated(add_k_proj.call(text), norm_added_k, to_k.call(image), norm_k, pass.Rotary);
        var value = cat([this.SplitHeads(add_v_proj.call(text)), this.SplitHeads(to_v.call(image))], 2);
        return this.Attend(query, key, value, pass).MoveToOuterDisposeScope();
    }

    private Tensor Rotated(Tensor text, RmsNorm textNorm, Tensor image, RmsNorm imageNorm, RotaryEmbedding rotary)
    {
        using var scope = NewDisposeScope();
        return rotary.Apply(cat([textNorm.call(this.SplitHeads(text)), imageNorm.call(this.SplitHeads(image))], 2)).MoveToOuterDisposeScope();
    }
}
