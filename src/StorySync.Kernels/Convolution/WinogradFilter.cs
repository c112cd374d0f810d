using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The weight of a 3×3 convolution as <see cref="WinogradConvolution"/> reads it: (out / columns, in, 9, columns), in the type in
/// which it is stored.</summary>
internal sealed class WinogradFilter : IWeightFormat
{
    public static readonly WinogradFilter Instance = new();

    public bool IsReversible => true;

    public Tensor[] Pack(Tensor weight, long[] inputShape) =>
        [PackedMatrix.Pack(PackedMatrix.EnsureFiniteHalf(weight).flatten(1)).unflatten(1, [-1, WinogradConvolution.Taps])];

    public Tensor Unpack(Tensor[] packed, long[] shape) => packed[0].permute(0, 3, 1, 2).flatten(0, 1).unflatten(2, [3, 3]);
}
