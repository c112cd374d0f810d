using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Functions of libtorch's that are computed for each image of a batch by itself. On the CPU libtorch computes the values that
/// fill no vector, at the end of a tensor and of each thread's part, in another way than the others, so that over the batch as a whole an
/// image's last bits would depend on how many images there are.</summary>
internal static class ImageByImage
{
    /// <summary>Computes a function.</summary>
    /// <param name="x">(batch, …).</param>
    /// <param name="function">A function of each value.</param>
    public static Tensor Apply(Tensor x, Func<Tensor, Tensor> function) =>
        Scoped(() => IsOne(x) ? function(x) : stack([.. x.unbind().Select(function)]));

    /// <summary>Overwrites a tensor by its SiLU.</summary>
    /// <param name="x">(batch, …).</param>
    /// <returns>The argument.</returns>
    public static Tensor SiluInPlace(Tensor x)
    {
        if (IsOne(x))
        {
            return x.silu_();
        }

        using var scope = NewDisposeScope();
        foreach (var image in x.unbind())
        {
            image.silu_();
        }

        return x;
    }

    private static bool IsOne(Tensor x) => x.device_type != DeviceType.CPU || x.dim() < 2 || x.shape[0] <= 1;
}
