using static TorchSharp.torch;

namespace StorySync.Attention.Tests;

internal static class TensorAssert
{
    /// <summary>Whether two tensors have the same shape and the same values, to the bit.</summary>
    public static bool SameAs(this Tensor first, Tensor second) =>
        first.shape.SequenceEqual(second.shape) && first.eq(second).all().item<bool>();
}
