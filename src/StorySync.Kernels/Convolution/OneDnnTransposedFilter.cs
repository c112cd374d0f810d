using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The weight of a transposed convolution, (in, out, height, width), in the order in which oneDNN computes.</summary>
/// <param name="stride">The stride, down and to the right.</param>
/// <param name="padding">The padding, above and below, left and right.</param>
internal sealed class OneDnnTransposedFilter(long[] stride, long[] padding) : IWeightFormat
{
    public bool IsReversible => false;

    public unsafe Tensor[] Pack(Tensor weight, long[] inputShape)
    {
        var values = weight.to(ScalarType.Float32);

        // The arguments: weight, padding, output padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[]
        {
            OneDnnCall.Handle(values), OneDnnCall.List(padding), OneDnnCall.List([0, 0]), OneDnnCall.List(stride), OneDnnCall.List([1, 1]),
            1, OneDnnCall.Some(OneDnnCall.List(inputShape)),
        };
        return [OneDnnCall.Pack("mkldnn::_reorder_convolution_transpose_weight"u8, stack, values)];
    }

    public Tensor Unpack(Tensor[] packed, long[] shape) =>
        throw new NotSupportedException("A transposed convolution's weight cannot be unpacked.");
}
