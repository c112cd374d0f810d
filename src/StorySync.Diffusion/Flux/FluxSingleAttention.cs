using StorySync.Attention;
using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The attention of a single block: text and image tokens share their projections, and what they attend to is not projected
/// back here (diffusers' <c>FluxAttention</c> with <c>pre_only</c>).</summary>
internal sealed class FluxSingleAttention : nn.Module<Tensor, FluxPass, Tensor>, IAttentionLayer
{
    private readonly RmsNorm norm_q;
    private readonly RmsNorm norm_k;
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;

    public FluxSingleAttention(int heads, int headWidth)
        : base(nameof(FluxSingleAttention))
    {
        var width = (long)heads * headWidth;
        norm_q = JointAttention.Norm(headWidth);
        norm_k = JointAttention.Norm(headWidth);
        to_q = new Linear(width, width);
        to_k = new Linear(width, width);
        to_v = new Linear(width, width);
        Layer = new AttentionLayer("", AttentionKind.Joint, heads, headWidth);
        RegisterComponents();
    }

    public AttentionLayer Layer { get; set; }

    public IAttentionProcessor Processor { get; set; } = PlainAttention.Instance;

    /// <param name="joint">Text and image tokens, (batch, tokens, width).</param>
    /// <param name="pass">Positions, grid and run.</param>
    public override Tensor forward(Tensor joint, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        var query = Rotated(to_q.call(joint), norm_q, pass.Rotary);
        var key = Rotated(to_k.call(joint), norm_k, pass.Rotary);
        var value = this.SplitHeads(to_v.call(joint));
        return this.Attend(query, key, value, pass).MoveToOuterDisposeScope();
    }

    private Tensor Rotated(Tensor joint, RmsNorm norm, RotaryEmbedding rotary)
    {
        using var scope = NewDisposeScope();
        return rotary.Apply(norm.call(this.SplitHeads(joint))).MoveToOuterDisposeScope();
    }
}
