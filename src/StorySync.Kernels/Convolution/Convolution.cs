using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Computes convolutions over (batch, channels, height, width) with the fastest available algorithm.</summary>
internal static class Convolution
{
    private static readonly long[] NoPadding = [0, 0];

    /// <summary>Convolves (torch's <c>conv2d</c>).</summary>
    /// <param name="input">(batch, in, height, width).</param>
    /// <param name="weight">The weight, (out, in, kernel, kernel).</param>
    /// <param name="bias">(out); null for none.</param>
    /// <param name="geometry">The sizes.</param>
    /// <returns>(batch, out, height, width).</returns>
    public static Tensor Run(Tensor input, WeightStorage weight, Tensor? bias, ConvolutionGeometry geometry)
    {
        geometry.Check(input);
        using var scope = NewDisposeScope();
        var output = geometry.Supports(input) && weight.GetOrPack(geometry.Format, input.shape) is { } packed
            ? geometry.Algorithm switch
            {
                ConvolutionAlgorithm.Winograd => WinogradConvolution.Apply(input, packed[0], bias),
                ConvolutionAlgorithm.Pointwise =>
                    LinearKernel.Apply(input.permute(0, 2, 3, 1), packed, geometry.OutChannels, bias).permute(0, 3, 1, 2),
                _ => OneDnnConvolution.Convolve(input, packed[0], bias, geometry.Stride, geometry.Padding),
            }
            : nn.functional.conv2d(input, weight.Values(), bias, geometry.Stride, geometry.Padding);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>Enlarges an image to the nearest pixels and convolves it with a 3×3 kernel and a padding of 1.</summary>
    /// <param name="input">(batch, in, height, width).</param>
    /// <param name="size">Height and width of the result; null doubles both.</param>
    /// <param name="weight">The weight, (out, in, 3, 3).</param>
    /// <param name="bias">(out); null for none.</param>
    /// <param name="geometry">The sizes.</param>
    /// <remarks>Where oneDNN computes and the size doubles, both are one transposed convolution: of the nine pixels that the convolution
    /// reads only four differ, so their weights are summed in advance. That is four ninths of the work, and the large image in between is
    /// never made.</remarks>
    public static Tensor RunUpsampled(Tensor input, long[]? size, WeightStorage weight, Tensor? bias, ConvolutionGeometry geometry)
    {
        geometry.Check(input);
        using var scope = NewDisposeScope();
        long[] doubled = [input.shape[2] * 2, input.shape[3] * 2];
        var sums = OneDnnConvolution.Supports(input);
        if (sums && (size is null || size.SequenceEqual(doubled)) && weight.GetOrPack(UpsampledFilter.Instance, input.shape) is { } packed)
        {
            return OneDnnConvolution.ConvolveTransposed(input, packed[0], bias, UpsampledFilter.Stride, UpsampledFilter.Padding)
                .MoveToOuterDisposeScope();
        }

        var large = nn.functional.interpolate(input, size ?? doubled, mode: InterpolationMode.Nearest);

        // Where sums are kept, packing the weight a second way would double it. The channels are last because of oneDNN 3.7 (libtorch
        // 2.10), which computes other orders wrongly on some processors.
        var output = sums
            ? nn.functional.conv2d(
                large.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), weight.Values(), bias, padding: geometry.Padding)
            : Run(large, weight, bias, geometry);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>Computes a transposed convolution without overlap: every value becomes a square (torch's <c>conv_transpose2d</c> with
    /// stride and
    /// kernel equal).</summary>
    /// <param name="input">(batch, in, height, width).</param>
    /// <param name="weight">The weight, (in, out, kernel, kernel).</param>
    /// <param name="bias">(out); null for none.</param>
    /// <param name="stride">The side of the squares, twice.</param>
    /// <param name="format">The format of the weight for oneDNN.</param>
    public static Tensor RunTransposed(Tensor input, WeightStorage weight, Tensor? bias, long[] stride, IWeightFormat format)
    {
        if (input.dim() != 4 || input.size(1) != weight.Shape[0])
        {
            throw ShapeMismatch.OfLayer(weight.Shape, input);
        }

        using var scope = NewDisposeScope();
        var packed = OneDnnConvolution.Supports(input) ? weight.GetOrPack(format, input.shape) : null;
        var output = packed is null
            ? nn.functional.conv_transpose2d(input, weight.Values(), bias, stride)
            : OneDnnConvolution.ConvolveTransposed(input, packed[0], bias, stride, NoPadding);
        return output.MoveToOuterDisposeScope();
    }
}
