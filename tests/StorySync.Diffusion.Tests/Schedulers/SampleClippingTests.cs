using StorySync.Diffusion.Schedulers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

public class SampleClippingTests
{
    /// <summary>The magnitudes 1 … 5 have the quantiles 4 at 0.75 and 4.2 at 0.8 (linear interpolation).</summary>
    [Theory]
    [InlineData(0.75, 10, 4)]
    [InlineData(0.8, 10, 4.2)]
    [InlineData(0.8, 3, 3)]
    [InlineData(0.0, 3, 1)]
    public void Thresholding_clamps_to_the_quantile_of_the_magnitudes_and_divides_by_it(double ratio, double maximum, double limit)
    {
        using var scope = NewDisposeScope();
        double[] values = [-1, 2, -3, 4, -5];
        var sample = tensor(values, [1, 5, 1, 1]);

        var actual = SampleClipping.Threshold(sample, ratio, maximum);

        Assert.Equal(float64, actual.dtype);
        Assert.Equal(sample.shape, actual.shape);
        Assert.All(values.Zip(actual.data<double>().ToArray()), pair =>
            Assert.Equal(Math.Clamp(pair.First, -limit, limit) / limit, pair.Second, 1e-7));
    }

    [Fact]
    public void A_limit_below_1_counts_as_1()
    {
        using var scope = NewDisposeScope();
        var sample = tensor([0.25f, -0.5f, 0.125f], [1, 3]);
        Assert.True(SampleClipping.Threshold(sample, 0.5, 6).Equals(sample));
    }

    [Fact]
    public void Each_row_has_its_own_limit()
    {
        using var scope = NewDisposeScope();
        var sample = tensor([2f, -4f, 8f, -16f], [2, 2]);
        Assert.Equal([0.5f, -1, 0.5f, -1], SampleClipping.Threshold(sample, 1, 100).data<float>().ToArray());
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Half_precision_is_computed_in_float32_and_given_back(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var sample = tensor([-1f, 2, -3, 4, -5], [1, 5]).to(type);

        var actual = SampleClipping.Threshold(sample, 0.8, 10);

        Assert.Equal(type, actual.dtype);
        Assert.True(SampleClipping.Threshold(sample.to(float32), 0.8, 10).to(type).Equals(actual));
    }
}
