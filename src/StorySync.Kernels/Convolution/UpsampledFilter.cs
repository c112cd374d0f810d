using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The weight of a 3×3 convolution after nearest-neighbor upsampling by 2, as that of one transposed convolution, (in, out, 4, 4):
/// each pixel of the small image is four of the large one, so it counts with the sum of the weights that reach them.</summary>
internal sealed class UpsampledFilter : IWeightFormat
{
    public static readonly UpsampledFilter Instance = new();
    public static readonly long[] Stride = [2, 2];
    public static readonly long[] Padding = [1, 1];
    private static readonly OneDnnTransposedFilter Sums = new(Stride, Padding);

    public bool IsReversible => false;

    public Tensor[] Pack(Tensor weight, long[] inputShape)
    {
        var taps = weight.to(ScalarType.Float32).transpose(0, 1).flip(2, 3);
        var kernel = taps.new_zeros(taps.shape[0], taps.shape[1], 4, 4);
        foreach (var (down, right) in new[] { (0, 0), (0, 1), (1, 0), (1, 1) })
        {
            kernel.narrow(2, down, 3).narrow(3, right, 3).Plus_(taps);
        }

        return Sums.Pack(kernel, inputShape);
    }

    public Tensor Unpack(Tensor[] packed, long[] shape) => Sums.Unpack(packed, shape);
}
