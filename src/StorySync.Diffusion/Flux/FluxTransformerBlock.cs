using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>A double block: text and image tokens attend together and have all else apart (diffusers'
/// <c>FluxTransformerBlock</c>).</summary>
internal sealed class FluxTransformerBlock : nn.Module<Tensor, Tensor, Tensor, FluxPass, (Tensor Text, Tensor Image)>
{
    private readonly AdaLayerNormZero norm1;
    private readonly AdaLayerNormZero norm1_context;
    private readonly FluxAttention attn;
    private readonly LayerNorm norm2;
    private readonly FeedForward ff;
    private readonly LayerNorm norm2_context;
    private readonly FeedForward ff_context;

    public FluxTransformerBlock(int heads, int headWidth)
        : base(nameof(FluxTransformerBlock))
    {
        var width = (long)heads * headWidth;
        norm1 = new AdaLayerNormZero(width);
        norm1_context = new AdaLayerNormZero(width);
        attn = new FluxAttention(heads, headWidth);
        norm2 = Modulation.Norm(width);
        ff = new FeedForward(width, gated: false);
        norm2_context = Modulation.Norm(width);
        ff_context = new FeedForward(width, gated: false);
        RegisterComponents();
    }

    /// <param name="image">(batch, image tokens, width).</param>
    /// <param name="text">(batch, text tokens, width).</param>
    /// <param name="temb">The conditioning, (batch, width).</param>
    /// <param name="pass">Positions, grid and run.</param>
    public override (Tensor Text, Tensor Image) forward(Tensor image, Tensor text, Tensor temb, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        var forImage = norm1.call(image, temb);
        var forText = norm1_context.call(text, temb);
        var (imageAttended, textAttended) = attn.call(forImage.Normed, forText.Normed, pass);
        forImage.Normed.Dispose();
        forText.Normed.Dispose();

        image = image.AddGated(forImage.Gate, imageAttended);
        image = image.AddGated(forImage.MlpGate, ff.call(norm2.call(image).Modulate(forImage.MlpShift, forImage.MlpScale)));

        text = text.AddGated(forText.Gate, textAttended);
        text = text.AddGated(forText.MlpGate, ff_context.call(norm2_context.call(text).Modulate(forText.MlpShift, forText.MlpScale)));
        return (text.ClampFloat16().MoveToOuterDisposeScope(), image.MoveToOuterDisposeScope());
    }
}
