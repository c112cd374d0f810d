using CsCheck;

namespace StorySync.Evaluation.Tests;

public class BootstrapTests
{
    [Fact]
    public void An_interval_holds_its_mean_and_is_repeatable() => Gen.Double[-5, 5].Array[2, 20].Sample(
        values =>
        {
            var interval = Bootstrap.Mean(values, resamples: 500);
            Assert.InRange(interval.Mean, interval.Low - 1e-9, interval.High + 1e-9);
            Assert.InRange(interval.Low, values.Min() - 1e-9, values.Max() + 1e-9);
            Assert.Equal(interval, Bootstrap.Mean(values, resamples: 500));
        },
        iter: 50);

    [Fact]
    public void Its_width_is_that_of_the_normal_distribution_where_that_holds()
    {
        // 1 … 400: the mean's standard error is √((n² − 1) / 12 / n); 95 % lie within 1.96 of them.
        var interval = Bootstrap.Mean([.. Enumerable.Range(1, 400).Select(i => (double)i)]);
        var half = 1.96 * Math.Sqrt(((400 * 400) - 1) / 12.0 / 400);
        Assert.Equal(200.5, interval.Mean);
        Assert.Equal(200.5 - half, interval.Low, 0.3);
        Assert.Equal(200.5 + half, interval.High, 0.3);
    }

    [Fact]
    public void A_lower_level_is_a_narrower_interval()
    {
        double[] values = [1, 2, 5, 9, 14];
        var (wide, narrow) = (Bootstrap.Mean(values), Bootstrap.Mean(values, level: 0.5));
        Assert.True(narrow.Low > wide.Low && narrow.High < wide.High);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Bootstrap.Mean([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Bootstrap.Mean([1], level: 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Bootstrap.Mean([1], resamples: 0));
    }
}
