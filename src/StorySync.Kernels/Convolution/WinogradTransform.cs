using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>The transforms of <see cref="WinogradConvolution"/>'s inputs and outputs, for all channels of a tile.</summary>
internal static unsafe class WinogradTransform<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary><c>Bᵀ d B</c>: the differences and sums of neighbors, down and then to the right.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Forward(float** from, float* to, nint step, int channels)
    {
        for (var at = 0; at < channels; at += V.Count)
        {
            var (a0, a1, a2, a3) = Sums(V.Load(from[0] + at), V.Load(from[4] + at), V.Load(from[8] + at), V.Load(from[12] + at));
            var (b0, b1, b2, b3) = Sums(V.Load(from[1] + at), V.Load(from[5] + at), V.Load(from[9] + at), V.Load(from[13] + at));
            var (c0, c1, c2, c3) = Sums(V.Load(from[2] + at), V.Load(from[6] + at), V.Load(from[10] + at), V.Load(from[14] + at));
            var (d0, d1, d2, d3) = Sums(V.Load(from[3] + at), V.Load(from[7] + at), V.Load(from[11] + at), V.Load(from[15] + at));
            Store(a0, b0, c0, d0, to + at, step);
            Store(a1, b1, c1, d1, to + at + (4 * step), step);
            Store(a2, b2, c2, d2, to + at + (8 * step), step);
            Store(a3, b3, c3, d3, to + at + (12 * step), step);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V, V, V, V) Sums(V a, V b, V c, V d) =>
        (a - c, b + c, c - b, b - d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(V a, V b, V c, V d, float* to, nint step)
    {
        (a - c).Store(to);
        (b + c).Store(to + step);
        (c - b).Store(to + (2 * step));
        (b - d).Store(to + (3 * step));
    }

    /// <summary><c>Aᵀ m A</c>, and the bias. Pixels outside the image have no address.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Backward(float* from, nint step, float* bias, float** to, int channels)
    {
        for (var at = 0; at < channels; at += V.Count)
        {
            var number = from + at;
            var (a0, a1) = Pair(number, 4 * step);
            var (b0, b1) = Pair(number + step, 4 * step);
            var (c0, c1) = Pair(number + (2 * step), 4 * step);
            var (d0, d1) = Pair(number + (3 * step), 4 * step);
            var more = bias == null ? V.Create(0) : V.Load(bias + at);
            (a0 + b0 + c0 + more).Store(to[0] + at);
            if (to[1] != null)
            {
                (b0 - c0 - d0 + more).Store(to[1] + at);
            }

            if (to[2] != null)
            {
                (a1 + b1 + c1 + more).Store(to[2] + at);
            }

            if (to[3] != null)
            {
                (b1 - c1 - d1 + more).Store(to[3] + at);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V, V) Pair(float* from, nint step)
    {
        var (a, b, c, d) = (V.Load(from), V.Load(from + step), V.Load(from + (2 * step)), V.Load(from + (3 * step)));
        return (a + b + c, b - c - d);
    }
}
