namespace StorySync.Samples;

/// <summary>Counts and lists in English.</summary>
internal static class English
{
    /// <summary>"1 scene", "2 scenes"; "1 story", "2 stories".</summary>
    public static string Count(long count, string noun) => $"{count} {(count == 1 ? noun : Plural(noun))}";

    /// <summary>"a", "a or b", "a, b or c".</summary>
    public static string Or(IReadOnlyList<string> words) =>
        words.Count < 2 ? string.Concat(words) : $"{string.Join(", ", words.SkipLast(1))} or {words[^1]}";

    private static string Plural(string noun) => noun.EndsWith('y') ? $"{noun[..^1]}ies" : $"{noun}s";
}
