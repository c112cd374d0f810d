using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The weight of a convolution, in the order in which oneDNN computes with inputs of the first input's size; others are computed
/// too, after a reordering. With an unpacked weight every call reorders it first, which for small inputs takes longer than the
/// convolution.</summary>
/// <param name="stride">The stride, down and to the right.</param>
/// <param name="padding">The padding, above and below, left and right.</param>
internal sealed class OneDnnFilter(long[] stride, long[] padding) : IWeightFormat
{
    public bool IsReversible => true;

    public unsafe Tensor[] Pack(Tensor weight, long[] inputShape)
    {
        var values = weight.to(ScalarType.Float32);

        // The arguments: weight, padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[]
        {
            OneDnnCall.Handle(values), OneDnnCall.List(padding), OneDnnCall.List(stride), OneDnnCall.List([1, 1]), 1,
            OneDnnCall.Some(OneDnnCall.List(inputShape)),
        };
        return [OneDnnCall.Pack("mkldnn::_reorder_convolution_weight"u8, stack, values)];
    }

    public Tensor Unpack(Tensor[] packed, long[] shape) => packed[0].to_dense();
}
