
namespace StorySync.Kernels.Tests;

public class VectorMathTests
{
    [Fact]
    public void Exp_is_exact_to_float32() =>
        Assert.All(Numbers(-87, 88), x => Assert.InRange(Exp(x) / Math.Exp(x), 1 - 4e-7, 1 + 4e-7));

    [Fact]
    public void Beyond_its_range_exp_stays_at_its_ends()
    {
        Assert.Equal(0, Exp(-87.01f));
        Assert.Equal(0, Exp(float.NegativeInfinity));
        Assert.InRange(Exp(float.PositiveInfinity), 1e38, float.MaxValue);
    }

    [Fact]
    public void Silu_is_exact_to_float32() =>
        Assert.All(Numbers(-100, 100), x => Close(x / (1 + Math.Exp(-x)), Silu(x), x));

    [Fact]
    public void Gelu_is_exact_to_float32() =>
        Assert.All(Numbers(-12, 12), x => Close(x * Normal(x), Gelu(x), x));

    [Fact]
    public void Tanh_gelu_is_exact_to_float32() => Assert.All(
        Numbers(-12, 12),
        x => Close(0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))), GeluTanh(x), x));

    [Fact]
    public void What_is_no_number_stays_none()
    {
        Assert.True(double.IsNaN(Exp(float.NaN)));
        Assert.True(double.IsNaN(Silu(float.NaN)));
        Assert.True(double.IsNaN(Gelu(float.NaN)));
        Assert.True(double.IsNaN(GeluTanh(float.NaN)));
    }

    private static void Close(double expected, double actual, float x) =>
        Assert.InRange(actual - expected, -3e-7 * Math.Max(1, Math.Abs(x)), 3e-7 * Math.Max(1, Math.Abs(x)));

    private static double Exp(float x) => Of(VectorMath<VectorNative>.Exp, VectorMath<Vector512Float>.Exp, x);

    private static double Silu(float x) => Of(VectorMath<VectorNative>.Silu, VectorMath<Vector512Float>.Silu, x);

    private static double Gelu(float x) => Of(VectorMath<VectorNative>.Gelu, VectorMath<Vector512Float>.Gelu, x);

    private static double GeluTanh(float x) => Of(VectorMath<VectorNative>.GeluTanh, VectorMath<Vector512Float>.GeluTanh, x);

    /// <summary>What a function gives in every lane, of any number of lanes.</summary>
    private static double Of(Func<VectorNative, VectorNative> native, Func<Vector512Float, Vector512Float> wide, float x)
    {
        float[] results = [.. In(native, x), .. In(wide, x)];
        Assert.All(results, result => Assert.Equal(results[0], result));
        return results[0];
    }

    private static unsafe float[] In<V>(Func<V, V> function, float x)
        where V : unmanaged, IFloatVector<V>
    {
        var results = new float[V.Count];
        fixed (float* to = results)
        {
            function(V.Create(x)).Store(to);
        }

        return results;
    }

    private static IEnumerable<float> Numbers(float from, float to) =>
        Enumerable.Range(0, 4001).Select(i => from + ((to - from) * i / 4000f));

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
