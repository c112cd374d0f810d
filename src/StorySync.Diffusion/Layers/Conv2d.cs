using StorySync.Attention.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A convolution over (batch, channels, height, width) (torch's <c>nn.Conv2d</c>).</summary>
internal sealed class Conv2d : nn.Module<Tensor, Tensor>
{
    public readonly Parameter weight;
    public readonly Parameter? bias;
    private readonly long[] stride;
    private readonly long[] padding;
    private readonly bool suitsWinograd;

    public Conv2d(long inChannels, long outChannels, long kernel, long stride = 1, long padding = 0, bool bias = true)
        : base(nameof(Conv2d))
    {
        weight = Parameters.Declare(outChannels, inChannels, kernel, kernel);
        this.bias = bias ? Parameters.Declare(outChannels) : null;
        this.stride = [stride, stride];
        this.padding = [padding, padding];
        suitsWinograd = WinogradConvolution.Suits(inChannels, outChannels, kernel, stride, padding);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        if (suitsWinograd && TensorMemory.CanRead(input) && TensorMemory.CanRead(weight))
        {
            return WinogradConvolution.Apply(input, WinogradConvolution.Form(weight), bias);
        }

        return PackedWeights.Takes(input, weight, w => PackedWeights.Convolution(w, stride, padding, input.shape))
            ? OneDnn.Convolve(input, weight, bias, stride, padding)
            : nn.functional.conv2d(input, weight, bias, stride, padding);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            DerivedWeights.Drop(weight);
        }

        base.Dispose(disposing);
    }
}
