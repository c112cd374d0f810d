namespace StorySync.Evaluation;

/// <summary>Represents a mean and its confidence interval.</summary>
/// <param name="Mean">The mean of the sample.</param>
/// <param name="Low">The lower end of the interval.</param>
/// <param name="High">The upper end.</param>
/// <param name="Count">How many values there were.</param>
public sealed record Interval(double Mean, double Low, double High, int Count);

/// <summary>Provides confidence intervals that make no assumption about the distribution of the values.</summary>
public static class Bootstrap
{
    /// <summary>Returns the percentile interval of a mean (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): means
    /// of samples drawn with replacement, of the values' own number; the interval holds the middle part of them.</summary>
    /// <param name="values">The values, at least one; independent ones, such as one a story. A single value gives an interval without
    /// width, which says nothing.</param>
    /// <param name="level">The part of the means that the interval holds, above 0, below 1.</param>
    /// <param name="resamples">How many samples are drawn, at least 1.</param>
    /// <param name="seed">The same seed gives the same interval.</param>
    /// <exception cref="ArgumentException">There are no values.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The level or number is out of range.</exception>
    public static Interval Mean(IReadOnlyList<double> values, double level = 0.95, int resamples = 10_000, int seed = 0)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(level, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(level, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 1);
        if (values.Count == 0)
        {
            throw new ArgumentException("There are no values to take the mean of.", nameof(values));
        }

        var random = new Random(seed);
        var means = new double[resamples];
        for (var r = 0; r < resamples; r++)
        {
            var sum = 0.0;
            for (var i = 0; i < values.Count; i++)
            {
                sum += values[random.Next(values.Count)];
            }

            means[r] = sum / values.Count;
        }

        Array.Sort(means);
        return new Interval(values.Average(), Quantile(means, (1 - level) / 2), Quantile(means, (1 + level) / 2), values.Count);
    }

    /// <summary>Interpolates between the two nearest of sorted values.</summary>
    private static double Quantile(double[] sorted, double share)
    {
        var place = share * (sorted.Length - 1);
        var below = (int)place;
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((place - below) * (sorted[above] - sorted[below]));
    }
}
