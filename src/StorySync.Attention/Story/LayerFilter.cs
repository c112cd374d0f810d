using System.IO.Enumeration;

namespace StorySync.Attention;

/// <summary>Chooses layers by their paths.</summary>
internal sealed class LayerFilter(string layers)
{
    /// <summary>Chooses all layers.</summary>
    public const string All = "*";

    private readonly string[] patterns = Split(layers);

    public static string? Check(string? layers) =>
        layers is null || Split(layers).Any(pattern => pattern != "!")
            ? layers
            : throw new ArgumentException(
                "Layers names no layer; give patterns such as \"up_blocks.*\", or \"*\" for all.", nameof(layers));

    /// <summary>Returns a value indicating whether the path is chosen: it matches a pattern (any, if there are only exclusions) and no
    /// exclusion.</summary>
    public bool Contains(string path)
    {
        var (excluded, included) = (patterns.Where(Excludes), patterns.Where(pattern => !Excludes(pattern)));
        return !excluded.Any(pattern => Matches(pattern[1..], path))
            && (!included.Any() || included.Any(pattern => Matches(pattern, path)));
    }

    /// <summary>Returns the patterns that match none of the paths.</summary>
    public IEnumerable<string> Unmatched(IReadOnlyCollection<string> paths) =>
        patterns.Where(pattern => !paths.Any(path => Matches(pattern.TrimStart('!'), path)));

    private static string[] Split(string layers) =>
        layers.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static bool Excludes(string pattern) => pattern.StartsWith('!');

    private static bool Matches(string pattern, string path) => FileSystemName.MatchesSimpleExpression(pattern, path, ignoreCase: false);
}
