using System.Collections.Immutable;
using System.Text.RegularExpressions;

namespace StorySync.Pipelines;

/// <summary>Represents a character of a story's cast: prompts refer to it by name, and the model gets its description.</summary>
/// <param name="Name">The name, as prompts write it: "Mia". It begins and ends with a letter or digit.</param>
/// <param name="Description">What the model draws, with its article: "a small red fox with a blue scarf".</param>
/// <seealso cref="Story.ExpandCast"/>
public sealed partial record Character(string Name, string Description)
{
    /// <summary>The words that end the noun phrase of a description.</summary>
    private static readonly ImmutableHashSet<string> Ends =
    [
        "with", "without", "in", "on", "at", "of", "from", "to", "for", "into", "over", "under", "near", "by", "as", "like", "wearing",
        "holding", "carrying", "having", "made", "named", "called", "aged", "dressed", "who", "whose", "whom", "that", "which",
    ];

    /// <summary>Gets other names that prompts have for the character.</summary>
    public IReadOnlyList<string> Aliases { get; init => field = value is null or { Count: 0 } ? [] : value; } = [];

    /// <summary>Gets the noun that stands for the character once it has been described, without an article: "fox"; null for the last
    /// word of the description's noun phrase, which ends before the first of: with, without, in, on, at, of, from, to, for, into, over,
    /// under, near, by, as, like, wearing, holding, carrying, having, made, named, called, aged, dressed, who, whose, whom, that,
    /// which.</summary>
    public string? Noun { get; init; }

    /// <summary>Gets the subject that the character is: the noun phrase of its description, without the article ("small red
    /// fox").</summary>
    /// <exception cref="ArgumentException">The description has no noun, and <see cref="Noun"/> is null.</exception>
    public Subject Subject() => new(NounPhrase());

    /// <summary>The words in prompts that mean the character.</summary>
    internal IEnumerable<string> Names => Aliases.Prepend(Name);

    /// <summary>The noun, given or found.</summary>
    internal string NounOrFound() => Noun ?? NounPhrase().Split(' ')[^1];

    private string NounPhrase()
    {
        var words = Space().Split(StoryRules.WithoutArticle(Description));
        var end = Array.FindIndex(words, word => Ends.Contains(word.ToLowerInvariant()));
        var ownEnd = Array.FindIndex(words, word => word.Trim(',', ';', '.').Equals(Noun, StringComparison.OrdinalIgnoreCase));
        var phrase = string.Join(' ', words[..(ownEnd >= 0 ? ownEnd + 1 : end >= 0 ? end : words.Length)]).Trim(' ', ',', ';', '.');
        return phrase.Length > 0 ? phrase
            : throw new ArgumentException($"The character \"{Name}\": the description \"{Description}\" begins with no noun phrase; "
                + "describe it as in \"a small red fox with a blue scarf\".");
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
