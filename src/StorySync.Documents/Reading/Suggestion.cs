namespace StorySync.Documents;

/// <summary>Finds the word that was meant by one that is mistyped.</summary>
internal static class Suggestion
{
    /// <summary>Returns the nearest of some words; null where none is near.</summary>
    /// <param name="word">What was written.</param>
    /// <param name="known">The words to choose from.</param>
    public static string? For(string word, IEnumerable<string> known)
    {
        var (nearest, distance) = known.Select(other => (Word: other, Distance: Distance(word, other)))
            .MinBy(other => other.Distance);
        return distance <= Math.Max(1, nearest.Length / 3) ? nearest : null;
    }

    /// <summary>How many letters are inserted, left out, replaced, or swapped with the next one; case does not count.</summary>
    private static int Distance(string first, string second)
    {
        // Longer words are no slips, and the work grows with the product.
        if (first.Length > 2 * second.Length)
        {
            return int.MaxValue;
        }

        var (a, b) = (first.ToLowerInvariant(), second.ToLowerInvariant());
        var costs = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
        {
            for (var j = 0; j <= b.Length; j++)
            {
                costs[i, j] = i == 0 ? j : j == 0 ? i : Math.Min(
                    Math.Min(costs[i - 1, j], costs[i, j - 1]) + 1, costs[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    costs[i, j] = Math.Min(costs[i, j], costs[i - 2, j - 2] + 1);
                }
            }
        }

        return costs[a.Length, b.Length];
    }
}
