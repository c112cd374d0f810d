using StorySync.Attention;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>An attention layer of a UNet: projects to queries, keys and values, lets the processor attend, projects back (diffusers'
/// <c>Attention</c>). Self-attention when no text is given, else cross-attention.</summary>
internal sealed class AttentionBlock : ScopedModule<Tensor, Tensor?, BlockContext, Tensor>, IAttentionLayer
{
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;
    private readonly ModuleList<Linear> to_out;

    /// <param name="width">Width of the input and output.</param>
    /// <param name="heads">Number of heads.</param>
    /// <param name="headWidth">Width of a head.</param>
    /// <param name="textWidth">Width of the text that keys and values come from; null in self-attention.</param>
    /// <param name="outBias">Whether the last projection has a bias.</param>
    public AttentionBlock(long width, int heads, int headWidth, long? textWidth = null, bool outBias = true)
        : base(nameof(AttentionBlock))
    {
        var inner = (long)heads * headWidth;
        to_q = new Linear(width, inner, bias: false);
        to_k = new Linear(textWidth ?? width, inner, bias: false);
        to_v = new Linear(textWidth ?? width, inner, bias: false);
        to_out = new ModuleList<Linear>(new Linear(inner, width, outBias));
        Layer = new AttentionLayer("", textWidth is null ? AttentionKind.Self : AttentionKind.Cross, heads, headWidth);
        RegisterComponents();
    }

    public AttentionLayer Layer { get; set; }

    public IAttentionProcessor Processor { get; set; } = PlainAttention.Instance;

    /// <param name="hidden">Tokens, (batch, tokens, width).</param>
    /// <param name="text">Text, (batch, text tokens, text width); null in self-attention.</param>
    /// <param name="context">The grid of the tokens, the text's mask and the run.</param>
    protected override Tensor Compute(Tensor hidden, Tensor? text, BlockContext context)
    {
        var source = text ?? hidden;
        var inputs = new AttentionInputs(
            to_q.call(hidden).SplitHeads(Layer.Heads),
            to_k.call(source).SplitHeads(Layer.Heads),
            to_v.call(source).SplitHeads(Layer.Heads),
            context.Grid,
            text is null ? 0 : (int)text.shape[1])
        {
            Mask = text is null ? null : context.TextMask,
        };
        return to_out[0].call(this.Attend(inputs, context.Context));
    }
}
