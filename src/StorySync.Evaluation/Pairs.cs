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
}
