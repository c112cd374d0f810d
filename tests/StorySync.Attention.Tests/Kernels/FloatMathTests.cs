using System.Numerics;
using StorySync.Attention.Kernels;

namespace StorySync.Attention.Tests.Kernels;

public class FloatMathTests
{
    [Fact]
    public void Exp_is_exact_to_float32() =>
        Assert.All(Numbers(-87, 88), x => Assert.InRange(Of(FloatMath.Exp, x) / Math.Exp(x), 1 - 4e-7, 1 + 4e-7));

    [Fact]
    public void Beyond_its_range_exp_stays_at_its_ends()
    {
        Assert.Equal(0, Of(FloatMath.Exp, -87.01f));
        Assert.Equal(0, Of(FloatMath.Exp, float.NegativeInfinity));
        Assert.InRange(Of(FloatMath.Exp, float.PositiveInfinity), 1e38, float.MaxValue);
    }

    [Fact]
    public void Silu_is_exact_to_float32() =>
        Assert.All(Numbers(-100, 100), x => Close(x / (1 + Math.Exp(-x)), Of(FloatMath.Silu, x), x));

    [Fact]
    public void Gelu_is_exact_to_float32() =>
        Assert.All(Numbers(-12, 12), x => Close(x * Normal(x), Of(FloatMath.Gelu, x), x));

    [Fact]
    public void What_is_no_number_stays_none()
    {
        Assert.True(double.IsNaN(Of(FloatMath.Exp, float.NaN)));
        Assert.True(double.IsNaN(Of(FloatMath.Silu, float.NaN)));
        Assert.True(double.IsNaN(Of(FloatMath.Gelu, float.NaN)));
    }

    private static void Close(double expected, double actual, float x) =>
        Assert.InRange(actual - expected, -3e-7 * Math.Max(1, Math.Abs(x)), 3e-7 * Math.Max(1, Math.Abs(x)));

    private static double Of(Func<Vector<float>, Vector<float>> function, float x) => function(Vector.Create(x))[0];

    private static IEnumerable<float> Numbers(float from, float to) => Enumerable.Range(0, 4001).Select(i => from + ((to - from) * i / 4000f));

    /// <summary>The normal distribution's Φ, by Simpson's rule.</summary>
    private static double Normal(double x)
    {
        const int Parts = 2000;
        var (low, width) = (-14.0, (x + 14) / Parts);
        double Density(int i) => Math.Exp(-0.5 * (low + (i * width)) * (low + (i * width))) / Math.Sqrt(2 * Math.PI);
        return width / 3 * (Density(0) + Density(Parts)
            + Enumerable.Range(1, Parts - 1).Sum(i => (i % 2 == 1 ? 4 : 2) * Density(i)));
    }
}
