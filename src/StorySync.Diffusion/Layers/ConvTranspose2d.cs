using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A transposed convolution without overlap, over (batch, channels, height, width): every value becomes a square (torch's
/// <c>nn.ConvTranspose2d</c> with stride and kernel equal).</summary>
internal sealed class ConvTranspose2d : WeightedLayer
{
    private static readonly long[] NoPadding = [0, 0];
    private readonly long[] stride;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="kernel">Side of the squares; height and width grow by this factor.</param>
    public ConvTranspose2d(long inChannels, long outChannels, long kernel)
        : base(nameof(ConvTranspose2d), outChannels, inChannels, outChannels, kernel, kernel)
    {
        stride = [kernel, kernel];
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var output = DerivedWeights.Packed(input, weight, values => PackedWeights.TransposedConvolution(values, stride, NoPadding, input.shape)) is { } packed
            ? OneDnn.ConvolveTransposed(input, packed, bias, stride, NoPadding)
            : nn.functional.conv_transpose2d(input, DerivedWeights.Values(weight), bias, stride);
        return output.MoveToOuterDisposeScope();
    }
}
