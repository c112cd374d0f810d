using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Compares tensors.</summary>
public static class TensorAssert
{
    /// <summary>Whether two tensors have the same type, the same shape and, to the bit, the same values.</summary>
    public static bool SameBitsAs(this Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        return first.dtype == second.dtype && first.shape.SequenceEqual(second.shape) && Bytes(first).SequenceEqual(Bytes(second));

        static ReadOnlySpan<byte> Bytes(Tensor tensor) => tensor.detach().cpu().contiguous().bytes;
    }

    /// <summary>Fails unless two tensors have the same type, the same shape and, to the bit, the same values.</summary>
    public static void SameBits(Tensor expected, Tensor actual)
    {
        Assert.Equal((expected.dtype, string.Join(", ", expected.shape)), (actual.dtype, string.Join(", ", actual.shape)));
        if (!actual.SameBitsAs(expected))
        {
            var (differ, worst) = Difference(expected, actual);
            Assert.Fail($"{differ} of {expected.numel()} values differ, the largest difference is {worst:g3}.");
        }
    }

    /// <summary>Fails unless two tensors have the same shape and no two values differ by more than what is allowed.</summary>
    /// <param name="expected">The values from another implementation or a derivation.</param>
    /// <param name="actual">The values under test.</param>
    /// <param name="relative">The largest difference allowed, as a part of the largest expected value.</param>
    /// <param name="absolute">What is allowed on top, whatever the values are; it is what counts where all of them are near zero.</param>
    public static void Close(Tensor expected, Tensor actual, double relative, double absolute = 0)
    {
        Assert.Equal(expected.shape, actual.shape);
        if (expected.numel() == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var allowed = absolute + (relative * expected.detach().to(float64).abs().max().item<double>());
        var (_, worst) = Difference(expected, actual);
        Assert.True(worst <= allowed, $"The largest difference is {worst:g3}, allowed is {allowed:g3}.");
    }

    private static (long Count, double Worst) Difference(Tensor expected, Tensor actual)
    {
        using var scope = NewDisposeScope();
        var difference = (actual.detach().cpu().to(float64) - expected.detach().cpu().to(float64)).abs();
        return (difference.ne(0).sum().item<long>(), difference.max().item<double>());
    }
}
