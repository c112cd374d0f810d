using CsCheck;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Masks;

public class OtsuTests
{
    [Fact]
    public void Threshold_is_the_first_bin_of_largest_variance() => Gen.Double[0, 1].Array[1, 40]
        .Select(Gen.Int[1, 12], (values, levels) => values.Select(value => Math.Round(value * levels) / levels).ToArray())
        .Sample(
            values =>
            {
                using var scope = NewDisposeScope();
                Assert.Equal(Naive(values), Otsu.Threshold(tensor(values)).item<double>());
            },
            iter: 200,
            threads: 1);

    [Fact]
    public void Rows_are_cut_by_themselves()
    {
        using var scope = NewDisposeScope();
        var values = Seeded.Uniform([2, 3, 50], ScalarType.Float64);
        var together = Otsu.Threshold(values);
        Assert.Equal([2L, 3L], together.shape);
        Assert.Equal(Otsu.Threshold(values[1, 2]).item<double>(), together[1, 2].item<double>());
    }

    [Theory]
    [InlineData(ScalarType.Float64, ScalarType.Float64)]
    [InlineData(ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, ScalarType.Float32)]
    public void A_threshold_is_float64_for_float64_and_else_float32(ScalarType values, ScalarType threshold)
    {
        using var scope = NewDisposeScope();
        var found = Otsu.Threshold(tensor(new[] { 0.0, 0.0, 1.0, 1.0 }, values));
        Assert.Equal(threshold, found.dtype);
        Assert.Equal(1.0 / 512, found.to(ScalarType.Float64).item<double>());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    [InlineData(1)]
    public void Equal_values_leave_the_first_centre(double value)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(1.0 / 512, Otsu.Threshold(full([9], value, ScalarType.Float64)).item<double>());
    }

    /// <summary>By the definition: every split is tried, its classes summed up again.</summary>
    private static double Naive(double[] values)
    {
        var bins = values.Select(value => Math.Min((int)(value * 256), 255)).ToArray();
        var (best, threshold) = (-1.0, 1.0 / 512);
        for (var split = 0; split < 255; split++)
        {
            var low = bins.Where(bin => bin <= split).Select(Centre).ToArray();
            var high = bins.Where(bin => bin > split).Select(Centre).ToArray();
            if (low.Length == 0 || high.Length == 0)
            {
                continue;
            }

            var gap = (low.Sum() / low.Length) - (high.Sum() / high.Length);
            var variance = (double)low.Length * high.Length * (gap * gap);
            if (variance > best)
            {
                (best, threshold) = (variance, Centre(split));
            }
        }

        return threshold;
    }

    private static double Centre(int bin) => (bin + 0.5) / 256;
}
