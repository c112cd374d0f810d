using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A 3×3 convolution by minimal filtering, F(2×2, 3×3) (Lavin and Gray, arXiv 1509.09308): four ninths of the multiplications. For
/// float32 on the CPU.</summary>
/// <remarks>
/// The picture is cut into tiles of 2×2 places. A tile and what surrounds it, 4×4 places, are transformed to 16 numbers per channel; each of
/// the 16 is a matrix product with the weights' form; 2×2 results come back from the 16. Tiles are worked on some dozens at a time, so that
/// all of it stays in the cache. A place's result depends neither on the batch nor on the number of threads. The weights' form, 16 ninths of
/// their size, is made anew in every call: that takes a few hundredths of the time, and kept it would be the largest thing in memory.
/// </remarks>
internal static class WinogradConvolution
{
    /// <summary>Numbers that a tile is transformed to.</summary>
    public const int Numbers = 16;

    /// <summary>Weights of a pair of channels.</summary>
    public const int Taps = 9;

    // In narrower layers the transformations take longer than what they save.
    private const int FewestChannels = 32;

    // Larger forms come from memory, not from the cache, for every few tiles.
    private const long LargestForm = 32 << 20;

    /// <summary>Whether a convolution is computed like this, where input and weights allow it.</summary>
    public static bool Supports(long inChannels, long outChannels, long kernel, long stride, long padding) =>
        Simd.IsSupported && kernel == 3 && stride == 1 && padding == 1
        && inChannels >= FewestChannels && inChannels % Simd.Count == 0 && outChannels % Simd.PanelColumns == 0
        && inChannels * outChannels * Numbers * sizeof(float) <= LargestForm;

    /// <summary>Convolves.</summary>
    /// <param name="input">(batch, in, height, width); is copied where its channels are not last.</param>
    /// <param name="taps">From <see cref="WinogradFilter"/>.</param>
    /// <param name="bias">(out); null for none.</param>
    /// <returns>(batch, out, height, width), the channels last.</returns>
    /// <exception cref="ArgumentException">The input does not have the channels of the weights.</exception>
    public static Tensor Apply(Tensor input, Tensor taps, Tensor? bias)
    {
        var outChannels = taps.size(0) * taps.size(3);
        if (input.dim() != 4 || input.size(1) != taps.size(1))
        {
            throw new ArgumentException(
                $"A layer with weights ({outChannels}, {taps.size(1)}, 3, 3) cannot take an input ({string.Join(", ", input.shape)}).", nameof(input));
        }

        using var scope = NewDisposeScope();
        var rows = input.permute(0, 2, 3, 1).contiguous();
        var output = empty([rows.size(0), rows.size(1), rows.size(2), outChannels]);
        if (Simd.Use512)
        {
            new WinogradMap<Vector512Float>(rows, taps, bias, output).Convolve();
        }
        else
        {
            new WinogradMap<VectorNative>(rows, taps, bias, output).Convolve();
        }

        GC.KeepAlive(rows);
        GC.KeepAlive(taps);
        GC.KeepAlive(bias);
        return output.permute(0, 3, 1, 2).MoveToOuterDisposeScope();
    }
}
