using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The transform of the filter of a <see cref="WinogradConvolution"/>.</summary>
internal static unsafe class WinogradFilterTransform<V>
    where V : unmanaged, IFloatVector<V>
{
    private const int TileElements = WinogradConvolution.TileElements;
    private const int Taps = WinogradConvolution.Taps;

    // The channels that a thread transforms together.
    private const int ChannelBlock = 32;

    /// <summary>Computes <c>G g Gᵀ</c> for each pair of channels.</summary>
    /// <param name="taps">The address of the taps, (panels, in, 9, columns).</param>
    /// <param name="type">Their type.</param>
    /// <param name="rows">The number of panels and channels, multiplied.</param>
    /// <returns>(16, panels, in, columns), valid until the next call on the same thread.</returns>
    public static float* Make(nint taps, ScalarType type, int rows)
    {
        var columns = MicroKernel<V>.Columns;
        var filter = Scratch.ForTeam(TileElements * rows * columns);
        var (size, to) = (HalfLoad<V>.Size(type), (nint)filter);
        ThreadTeam.Run((rows + ChannelBlock - 1) / ChannelBlock, piece =>
        {
            var first = piece * ChannelBlock;
            Transform(
                taps + ((nint)first * Taps * columns * size), type, (float*)to + ((nint)first * columns), (nint)rows * columns,
                Math.Min(ChannelBlock, rows - first));
        });
        return filter;
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Transform(nint from, ScalarType type, float* to, nint step, int channels)
    {
        var columns = MicroKernel<V>.Columns;
        var weights = Scratch.Floats(Taps * columns);
        for (var channel = 0; channel < channels; channel++, to += columns)
        {
            var taps = HalfLoad<V>.ToFloat32(from, type, Taps, weights);
            from += Taps * columns * HalfLoad<V>.Size(type);
            for (var half = 0; half < columns; half += V.Count)
            {
                var (a0, a1, a2, a3) = Stretch(Tap(taps, 0), Tap(taps, 3), Tap(taps, 6));
                var (b0, b1, b2, b3) = Stretch(Tap(taps, 1), Tap(taps, 4), Tap(taps, 7));
                var (c0, c1, c2, c3) = Stretch(Tap(taps, 2), Tap(taps, 5), Tap(taps, 8));
                Store(a0, b0, c0, to + half, step);
                Store(a1, b1, c1, to + half + (4 * step), step);
                Store(a2, b2, c2, to + half + (8 * step), step);
                Store(a3, b3, c3, to + half + (12 * step), step);
                taps += V.Count;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Tap(float* taps, int number) => V.Load(taps + (number * MicroKernel<V>.Columns));

    /// <summary>Transforms three elements to four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V, V, V, V) Stretch(V a, V b, V c)
    {
        var (ends, half) = (a + c, V.Create(0.5f));
        return (a, (ends + b) * half, (ends - b) * half, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(V a, V b, V c, float* to, nint step)
    {
        var (first, second, third, fourth) = Stretch(a, b, c);
        first.Store(to);
        second.Store(to + step);
        third.Store(to + (2 * step));
        fourth.Store(to + (3 * step));
    }
}
