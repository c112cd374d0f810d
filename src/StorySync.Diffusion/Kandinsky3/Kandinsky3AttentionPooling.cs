using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Adds what the text as a whole says to the time embedding (diffusers' <c>Kandinsky3AttentionPooling</c>).</summary>
internal sealed class Kandinsky3AttentionPooling : nn.Module<Tensor, Tensor, Tensor?, Tensor>
{
    private readonly PoolingAttention attention;

    public Kandinsky3AttentionPooling(Kandinsky3Settings settings)
        : base(nameof(Kandinsky3AttentionPooling))
    {
        attention = new PoolingAttention(settings);
        RegisterComponents();
    }

    /// <param name="timeEmbedding">(batch, time width).</param>
    /// <param name="text">(batch, tokens, text width). All tokens form the query, those that the mask hides too.</param>
    /// <param name="mask">Added to the logits, (batch, 1, 1, tokens), or null.</param>
    public override Tensor forward(Tensor timeEmbedding, Tensor text, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var pooled = attention.call(text.mean([1], keepdim: true), text, mask);
        return pooled.squeeze(1).add_(timeEmbedding).MoveToOuterDisposeScope();
    }
}

/// <summary>Attention of one token to the text, from the text's width to that of the time embedding. No image takes part, so it is none
/// of the layers that processors serve.</summary>
internal sealed class PoolingAttention : nn.Module<Tensor, Tensor, Tensor?, Tensor>
{
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;
    private readonly ModuleList<Linear> to_out;
    private readonly int heads;

    public PoolingAttention(Kandinsky3Settings settings)
        : base(nameof(PoolingAttention))
    {
        var (textWidth, width) = (settings.TextWidth, settings.TimeWidth);
        heads = settings.Split(width).Heads;
        to_q = new Linear(textWidth, width, bias: false);
        to_k = new Linear(textWidth, width, bias: false);
        to_v = new Linear(textWidth, width, bias: false);
        to_out = new ModuleList<Linear>(new Linear(width, width, bias: false));
        RegisterComponents();
    }

    public override Tensor forward(Tensor query, Tensor text, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var attended = nn.functional.scaled_dot_product_attention(
            SplitHeads(to_q.call(query)), SplitHeads(to_k.call(text)), SplitHeads(to_v.call(text)), mask);
        return to_out[0].call(attended.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    private Tensor SplitHeads(Tensor x) => x.unflatten(2, [heads, -1]).transpose(1, 2);
}
