using System.Text.RegularExpressions;

namespace StorySync.Documents;

/// <summary>Counts, lists and messages in English.</summary>
internal static partial class English
{
    /// <summary>"1 scene", "2 scenes"; "1 story", "2 stories".</summary>
    public static string Count(long count, string noun) => $"{count} {(count == 1 ? noun : Plural(noun))}";

    /// <summary>"a mask", "an image".</summary>
    public static string A(string noun) => $"{("aeiou".Contains(noun[0], StringComparison.Ordinal) ? "an" : "a")} {noun}";

    /// <summary>"a", "a or b", "a, b or c".</summary>
    public static string Or(IReadOnlyList<string> words) =>
        words.Count < 2 ? string.Concat(words) : $"{string.Join(", ", words.SkipLast(1))} or {words[^1]}";

    /// <summary>A message as one line, without what it says to programmers.</summary>
    public static string OneLine(string message) =>
        WhiteSpace().Replace(ParameterName().Replace(message, ""), " ").Trim();

    [GeneratedRegex(@" ?\(Parameter '\w*'\)")]
    private static partial Regex ParameterName();

    // Control characters would be commands to the terminal.
    [GeneratedRegex(@"[\s\p{Cc}]+")]
    private static partial Regex WhiteSpace();

    private static string Plural(string noun) => noun.EndsWith('y') ? $"{noun[..^1]}ies" : $"{noun}s";
}
