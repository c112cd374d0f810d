using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>Computes functions of vectors to float32's precision (.NET's own compute in float64, and take several times as long).</summary>
/// <typeparam name="V">The vector type.</typeparam>
internal static class VectorMath<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>eˣ to 3·10⁻⁷ of it; 0 for x below −87, e⁸⁸ for x above 88.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp(V x)
    {
        // x = n·ln 2 + r. Adding 1.5·2²³ leaves n in the lowest bits. The order of arguments lets NaN through.
        const float Rounder = 12582912f, Lowest = -87f;
        var limited = V.Min(V.Create(88f), V.Max(V.Create(Lowest), x));
        var shifted = V.FusedMultiplyAdd(limited, V.Create(1.44269504f), V.Create(Rounder));
        var r = V.FusedMultiplyAdd(shifted - V.Create(Rounder), V.Create(-0.693147181f), limited);
        var series = V.FusedMultiplyAdd(r, V.Create(1f / 720), V.Create(1f / 120));
        series = V.FusedMultiplyAdd(series, r, V.Create(1f / 24));
        series = V.FusedMultiplyAdd(series, r, V.Create(1f / 6));
        series = V.FusedMultiplyAdd(series, r, V.Create(0.5f));
        series = V.FusedMultiplyAdd(series, r, V.Create(1));
        series = V.FusedMultiplyAdd(series, r, V.Create(1));
        return V.WhereLess(x, Lowest, V.Create(0), V.ScaleByPowerOfTwo(series, shifted));
    }

    /// <summary>x / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Silu(V x) => x / (V.Create(1) + Exp(-x));

    /// <summary>Returns the exact GELU, x·Φ(x), with the error function to 1.5·10⁻⁷ (Abramowitz and Stegun, 7.1.26).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Gelu(V x)
    {
        var z = V.Abs(x) * V.Create(0.707106781f);
        var t = V.Create(1) / V.FusedMultiplyAdd(z, V.Create(0.3275911f), V.Create(1));
        var series = V.FusedMultiplyAdd(t, V.Create(1.061405429f), V.Create(-1.453152027f));
        series = V.FusedMultiplyAdd(series, t, V.Create(1.421413741f));
        series = V.FusedMultiplyAdd(series, t, V.Create(-0.284496736f));
        series = V.FusedMultiplyAdd(series, t, V.Create(0.254829592f));

        // Φ(−|x|): no difference of near numbers for negative x.
        var tail = V.Create(0.5f) * series * t * Exp(-(z * z));
        return x * V.WhereLess(x, 0, tail, V.Create(1) - tail);
    }

    /// <summary>Returns the tanh approximation of GELU, x·(1 + tanh u) / 2 with u = √(2/π)·(x + 0.044715·x³); the same as x / (1 +
    /// e⁻²ᵘ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V GeluTanh(V x) =>
        x / (V.Create(1) + Exp(x * V.FusedMultiplyAdd(x * x, V.Create(-2 * 0.797884561f * 0.044715f), V.Create(-2 * 0.797884561f))));
}
