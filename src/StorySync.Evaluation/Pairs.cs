namespace StorySync.Evaluation;

/// <summary>What holds between each two of several things.</summary>
internal static class Pairs
{
    /// <exception cref="ArgumentException">There are fewer than two.</exception>
    public static double Mean<T>(IReadOnlyList<T> items, Func<T, T, double> measure)
    {
        ArgumentNullException.ThrowIfNull(items);
        if (items.Count < 2)
        {
            throw new ArgumentException($"At least two are needed to compare; found {items.Count}.", nameof(items));
        }

        var sum = 0.0;
        for (var i = 0; i < items.Count; i++)
        {
            for (var j = i + 1; j < items.Count; j++)
            {
                sum += measure(items[i], items[j]);
            }
        }

        return sum / (items.Count * (items.Count - 1) / 2);
    }

    /// <summary>Returns the mean over each of some things with each of others.</summary>
    /// <exception cref="ArgumentException">There are none of one kind.</exception>
    public static double Mean<T>(IReadOnlyList<T> first, IReadOnlyList<T> second, Func<T, T, double> measure)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        return first.Count > 0 && second.Count > 0
            ? first.Average(a => second.Average(b => measure(a, b)))
            : throw new ArgumentException(
                $"At least one of either kind is needed to compare; found {first.Count} and {second.Count}.", nameof(second));
    }
}
