using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Brings the encoded text to the width that the model reads (diffusers' <c>Kandinsky3EncoderProj</c>).</summary>
internal sealed class Kandinsky3EncoderProj : nn.Module<Tensor, Tensor>
{
    private readonly Linear projection_linear;
    private readonly LayerNorm projection_norm;

    public Kandinsky3EncoderProj(long inWidth, long outWidth)
        : base(nameof(Kandinsky3EncoderProj))
    {
        projection_linear = new Linear(inWidth, outWidth, bias: false);
        projection_norm = new LayerNorm(outWidth, epsilon: 1e-5);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => projection_linear.call(input).Into(projection_norm);
}
