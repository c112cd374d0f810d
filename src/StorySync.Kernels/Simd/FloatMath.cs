using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>Functions of many numbers at once, to float32's precision (.NET's own compute in float64, and take several times as
/// long).</summary>
/// <typeparam name="T">The numbers.</typeparam>
internal static class FloatMath<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>eˣ to 3·10⁻⁷ of it; 0 for x below −87, e⁸⁸ for x above 88.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Exp(T x)
    {
        // x = n·ln 2 + r. Adding 1.5·2²³ leaves n in the lowest bits. The order of arguments lets NaN through.
        const float Rounder = 12582912f, Lowest = -87f;
        var limited = T.Min(T.Create(88f), T.Max(T.Create(Lowest), x));
        var shifted = T.FusedMultiplyAdd(limited, T.Create(1.44269504f), T.Create(Rounder));
        var r = T.FusedMultiplyAdd(shifted - T.Create(Rounder), T.Create(-0.693147181f), limited);
        var series = T.FusedMultiplyAdd(r, T.Create(1f / 720), T.Create(1f / 120));
        series = T.FusedMultiplyAdd(series, r, T.Create(1f / 24));
        series = T.FusedMultiplyAdd(series, r, T.Create(1f / 6));
        series = T.FusedMultiplyAdd(series, r, T.Create(0.5f));
        series = T.FusedMultiplyAdd(series, r, T.Create(1));
        series = T.FusedMultiplyAdd(series, r, T.Create(1));
        return T.WhereLess(x, Lowest, T.Create(0), T.ScaleByPowerOfTwo(series, shifted));
    }

    /// <summary>x / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Silu(T x) => x / (T.Create(1) + Exp(-x));

    /// <summary>The exact GELU, x·Φ(x), with the error function to 1.5·10⁻⁷ (Abramowitz and Stegun, 7.1.26).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Gelu(T x)
    {
        var z = T.Abs(x) * T.Create(0.707106781f);
        var t = T.Create(1) / T.FusedMultiplyAdd(z, T.Create(0.3275911f), T.Create(1));
        var series = T.FusedMultiplyAdd(t, T.Create(1.061405429f), T.Create(-1.453152027f));
        series = T.FusedMultiplyAdd(series, t, T.Create(1.421413741f));
        series = T.FusedMultiplyAdd(series, t, T.Create(-0.284496736f));
        series = T.FusedMultiplyAdd(series, t, T.Create(0.254829592f));

        // Φ(−|x|): no difference of near numbers for negative x.
        var tail = T.Create(0.5f) * series * t * Exp(-(z * z));
        return x * T.WhereLess(x, 0, tail, T.Create(1) - tail);
    }

    /// <summary>The tanh approximation of GELU, x·(1 + tanh u) / 2 with u = √(2/π)·(x + 0.044715·x³); the same as x / (1 + e⁻²ᵘ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T TanhGelu(T x) =>
        x / (T.Create(1) + Exp(x * T.FusedMultiplyAdd(x * x, T.Create(-2 * 0.797884561f * 0.044715f), T.Create(-2 * 0.797884561f))));
}
