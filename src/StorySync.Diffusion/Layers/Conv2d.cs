using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A convolution over (batch, channels, height, width) (torch's <c>nn.Conv2d</c>).</summary>
internal sealed class Conv2d : WeightedLayer
{
    private readonly long outChannels;
    private readonly long[] stride;
    private readonly long[] padding;
    private readonly bool suitsWinograd;
    private readonly bool overSinglePlaces;

    public Conv2d(long inChannels, long outChannels, long kernel, long stride = 1, long padding = 0, bool bias = true)
        : base(nameof(Conv2d), bias ? outChannels : null, outChannels, inChannels, kernel, kernel)
    {
        this.outChannels = outChannels;
        this.stride = [stride, stride];
        this.padding = [padding, padding];
        suitsWinograd = WinogradConvolution.Suits(inChannels, outChannels, kernel, stride, padding);
        overSinglePlaces = kernel == 1 && stride == 1 && padding == 0;
        RegisterComponents();
    }

    protected override bool ReadsHalves => suitsWinograd || (overSinglePlaces && Lanes.AreAccelerated);

    public override Tensor forward(Tensor input)
    {
        if (suitsWinograd && TensorMemory.CanRead(input) && DerivedWeights.Taps(weight) is { } taps)
        {
            return WinogradConvolution.Apply(input, taps, bias);
        }

        using var scope = NewDisposeScope();
        if (overSinglePlaces && DerivedWeights.Panels(input, weight) is { } panels)
        {
            return LinearKernel.Apply(input.permute(0, 2, 3, 1), panels, outChannels, bias).permute(0, 3, 1, 2).MoveToOuterDisposeScope();
        }

        var output = DerivedWeights.Packed(input, weight, values => PackedWeights.Convolution(values, stride, padding, input.shape)) is { } packed
            ? OneDnn.Convolve(input, packed, bias, stride, padding)
            : nn.functional.conv2d(input, DerivedWeights.Values(weight), bias, stride, padding);
        return output.MoveToOuterDisposeScope();
    }
}
