using System.Numerics;

namespace StorySync.Attention.Kernels;

/// <summary>Functions of vectors, to float32's precision (<see cref="Vector.Exp(Vector{float})"/> computes in float64, and takes several
/// times as long).</summary>
internal static class FloatMath
{
    /// <summary>eˣ to 3·10⁻⁷ of it; 0 for x below −87, e⁸⁸ for x above 88.</summary>
    public static Vector<float> Exp(Vector<float> x)
    {
        // x = n·ln 2 + r. Adding 1.5·2²³ leaves n in the lowest bits. The order of arguments lets NaN through.
        const float Rounder = 12582912f, Lowest = -87f;
        var limited = Vector.MinNative(Vector.Create(88f), Vector.MaxNative(Vector.Create(Lowest), x));
        var shifted = Vector.FusedMultiplyAdd(limited, Vector.Create(1.44269504f), Vector.Create(Rounder));
        var r = Vector.FusedMultiplyAdd(shifted - Vector.Create(Rounder), Vector.Create(-0.693147181f), limited);
        var series = Vector.FusedMultiplyAdd(r, Vector.Create(1f / 720), Vector.Create(1f / 120));
        series = Vector.FusedMultiplyAdd(series, r, Vector.Create(1f / 24));
        series = Vector.FusedMultiplyAdd(series, r, Vector.Create(1f / 6));
        series = Vector.FusedMultiplyAdd(series, r, Vector.Create(0.5f));
        series = Vector.FusedMultiplyAdd(series, r, Vector<float>.One);
        series = Vector.FusedMultiplyAdd(series, r, Vector<float>.One);
        var power = Vector.AsVectorSingle(Vector.AsVectorInt32(series) + (Vector.AsVectorInt32(shifted) << 23));
        return Vector.ConditionalSelect(Vector.LessThan(x, Vector.Create(Lowest)), Vector<float>.Zero, power);
    }

    /// <summary>x / (1 + e⁻ˣ).</summary>
    public static Vector<float> Silu(Vector<float> x) => x / (Vector<float>.One + Exp(-x));

    /// <summary>The exact GELU, x·Φ(x), with the error function to 1.5·10⁻⁷ (Abramowitz and Stegun, 7.1.26).</summary>
    public static Vector<float> Gelu(Vector<float> x)
    {
        var z = Vector.Abs(x) * Vector.Create(0.707106781f);
        var t = Vector<float>.One / Vector.FusedMultiplyAdd(z, Vector.Create(0.3275911f), Vector<float>.One);
        var series = Vector.FusedMultiplyAdd(t, Vector.Create(1.061405429f), Vector.Create(-1.453152027f));
        series = Vector.FusedMultiplyAdd(series, t, Vector.Create(1.421413741f));
        series = Vector.FusedMultiplyAdd(series, t, Vector.Create(-0.284496736f));
        series = Vector.FusedMultiplyAdd(series, t, Vector.Create(0.254829592f));

        // Φ(−|x|): no difference of near numbers for negative x.
        var tail = Vector.Create(0.5f) * series * t * Exp(-(z * z));
        return x * Vector.ConditionalSelect(Vector.LessThan(x, Vector<float>.Zero), tail, Vector<float>.One - tail);
    }
}
