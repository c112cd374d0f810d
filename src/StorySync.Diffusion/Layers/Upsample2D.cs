using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Nearest-neighbour upsampling, then a convolution (diffusers' <c>Upsample2D</c>).</summary>
/// <remarks>Where oneDNN computes and the size doubles, both together are one transposed convolution: of the nine pixels that the
/// convolution reads, only four differ, so their weights can be summed beforehand. That is four ninths of the work, and the large
/// picture in between is never made.</remarks>
internal sealed class Upsample2D : nn.Module<Tensor, long[]?, Tensor>
{
    private static readonly long[] Stride = [2, 2];
    private static readonly long[] Padding = [1, 1];
    private readonly Conv2d conv;

    public Upsample2D(long channels)
        : base(nameof(Upsample2D))
    {
        conv = new Conv2d(channels, channels, kernel: 3, padding: 1);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="size">Height and width of the result; null doubles both.</param>
    public override Tensor forward(Tensor input, long[]? size)
    {
        long[] doubled = [input.shape[2] * 2, input.shape[3] * 2];
        var sums = OneDnn.Takes(input);
        if (sums && (size is null || size.SequenceEqual(doubled)) && SummedKernel(input.shape) is { } kernel)
        {
            return OneDnn.ConvolveTransposed(input, kernel, conv.bias, Stride, Padding);
        }

        using var scope = NewDisposeScope();
        var large = nn.functional.interpolate(input, size ?? doubled, mode: InterpolationMode.Nearest);

        // The layer would make something else of its weights than their sums.
        var output = sums ? nn.functional.conv2d(large.ChannelsLast(), DerivedWeights.Values(conv.weight), conv.bias, padding: Padding) : conv.call(large);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>The kernel of the transposed convolution, (in, out, 4, 4), packed: every pixel of the small picture is four of the large one, so
    /// it counts with the sum of the weights that reach them.</summary>
    private Tensor? SummedKernel(long[] inputSize) => DerivedWeights.Of(conv.weight, values =>
    {
        var weight = values.to(ScalarType.Float32).transpose(0, 1).flip(2, 3);
        var kernel = weight.new_zeros(weight.shape[0], weight.shape[1], 4, 4);
        foreach (var (down, right) in new[] { (0, 0), (0, 1), (1, 0), (1, 1) })
        {
            kernel.narrow(2, down, 3).narrow(3, right, 3).add_(weight);
        }

        return [PackedWeights.TransposedConvolution(kernel, Stride, Padding, inputSize)];
    })?[0];
}
