using System.Text;
using StorySync.Diffusion.Tokenizers;

namespace StorySync.Pipelines;

/// <summary>Writes prompts out: descriptions and nouns in place of the names of a story's cast, by the rules of
/// <see cref="Story.ExpandCast"/>.</summary>
/// <param name="cast">The characters.</param>
internal sealed class CastExpansion(IReadOnlyList<Character> cast)
{
    private const string Apostrophes = "'’";
    private const string Opening = "\"'“”‘’«»([{";
    private const string SentenceEnds = ".!?…";

    /// <exception cref="ArgumentException">A character breaks a rule; the message names it.</exception>
    public void Check()
    {
        var known = new Dictionary<string, Character>(StringComparer.OrdinalIgnoreCase);
        foreach (var character in cast)
        {
            RequestRules.Require(character is not null, "The cast holds a null.");
            RequestRules.Require(!string.IsNullOrWhiteSpace(character!.Name), "A character of the cast has an empty name.");
            RequestRules.Require(
                !string.IsNullOrWhiteSpace(character.Description), $"The character \"{character.Name}\" has no description.");
            RequestRules.Require(
                character.Noun is null || !string.IsNullOrWhiteSpace(character.Noun),
                $"The character \"{character.Name}\" has an empty noun.");
            foreach (var name in character.Names)
            {
                RequestRules.Require(
                    name is { Length: > 0 } && IsLetterOrDigit(name, 0) && IsLetterOrDigit(name, name.Length - 1),
                    $"The character \"{character.Name}\": the name \"{name}\" must begin and end with a letter or digit.");
                RequestRules.Require(
                    known.TryAdd(name, character),
                    $"The character \"{character.Name}\": the name \"{name}\" is there twice in the cast; give each name once.");
            }
        }

        foreach (var character in cast)
        {
            foreach (var text in (string[])[character.Description, Later(character)])
            {
                RequestRules.Require(
                    !Mentions(text).Any(),
                    $"The character \"{character.Name}\": \"{text}\" has the name \"{Mentions(text).FirstOrDefault().Name}\", which the "
                        + "model does not know; describe the character without names.");
            }
        }
    }

    /// <summary>Returns the characters that a text mentions.</summary>
    public IReadOnlyList<Character> MentionedIn(string text) => [.. Mentions(text).Select(mention => mention.Character).Distinct()];

    /// <summary>Returns a prompt as the model gets it.</summary>
    /// <param name="prompt">The prompt with names.</param>
    /// <param name="states">By name, how a character is in the scene.</param>
    /// <param name="isPlaced">Whether a character has a region, so that no word may stand for it but those of its subject; null for
    /// none.</param>
    /// <exception cref="ArgumentException">A name would be left.</exception>
    public string Expand(string prompt, IReadOnlyDictionary<string, string> states, Predicate<Character>? isPlaced = null)
    {
        var (text, end) = (new StringBuilder(), 0);
        var described = new HashSet<Character>();
        foreach (var mention in Mentions(prompt))
        {
            var words = !described.Add(mention.Character) ? Later(mention.Character, isPlaced?.Invoke(mention.Character) == true)
                : states.TryGetValue(mention.Character.Name, out var state) ? $"{Unended(mention.Character.Description)} {Unended(state)}"
                : Unended(mention.Character.Description);
            text.Append(prompt, end, mention.Start - end).Append(Begin(words, BeginsSentence(prompt, mention.Start)));
            end = mention.Start + mention.Length;
            if (mention.Apostrophe is { } apostrophe)
            {
                text.Append(apostrophe).Append(words.EndsWith('s') ? "" : "s");
            }
        }

        var expanded = text.Append(prompt, end, prompt.Length - end).ToString();
        RequestRules.Require(
            !Mentions(expanded).Any(),
            $"written out, the prompt still has the name \"{Mentions(expanded).FirstOrDefault().Name}\": \"{expanded}\".");
        return expanded;
    }

    /// <summary>Words without the full stop or comma that they may end in where they are given by themselves.</summary>
    private static string Unended(string words) => words.Trim().TrimEnd('.', ',', ';', ' ');

    /// <summary>Words with a capital at the beginning of a sentence, and without that of an article elsewhere.</summary>
    private static string Begin(string words, bool isSentence) =>
        isSentence ? char.ToUpperInvariant(words[0]) + words[1..]
        : StoryRules.WithoutArticle(words).Length < words.Length ? char.ToLowerInvariant(words[0]) + words[1..]
        : words;

    /// <summary>What stands for a character that was described already: "the" and its noun, or its noun phrase where it is placed or
    /// another character has the same noun.</summary>
    private string Later(Character character, bool isPlaced = false)
    {
        var noun = character.NounOrFound();
        return isPlaced || cast.Any(other => other != character && other.NounOrFound().Equals(noun, StringComparison.OrdinalIgnoreCase))
            ? $"the {character.Subject().Phrase}"
            : $"the {noun.Trim()}";
    }

    private IEnumerable<Mention> Mentions(string text)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (MentionAt(text, at) is { } mention)
            {
                yield return mention;
                at += mention.Length - 1;
            }
        }
    }

    private Mention? MentionAt(string text, int start)
    {
        if (!WordBoundary.IsAt(text, start) || (start > 1 && Joins(text[start - 1]) && IsLetterOrDigit(text, start - 2)))
        {
            return null;
        }

        Mention? longest = null;
        foreach (var character in cast)
        {
            foreach (var name in character.Names.Where(name => Stands(text, start, name) && name.Length > (longest?.Name.Length ?? 0)))
            {
                longest = Possessive(text, start + name.Length, name) is var (length, apostrophe)
                    ? new Mention(character, name, start, name.Length + length, apostrophe)
                    : new Mention(character, name, start, name.Length, null);
            }
        }

        return longest;
    }

    /// <summary>Whether a name stands in a text as a whole word; an alias in lower case may have a capital there.</summary>
    private static bool Stands(string text, int start, string name)
    {
        var end = start + name.Length;
        return end <= text.Length
            && (text[start] == name[0] || text[start] == char.ToUpperInvariant(name[0]))
            && text.AsSpan(start + 1, name.Length - 1).SequenceEqual(name.AsSpan(1))
            && WordBoundary.IsAt(text, end)
            && !(end + 1 < text.Length && text[end] == '-' && IsLetterOrDigit(text, end + 1));
    }

    /// <summary>The ending of a possessive: 's, or the apostrophe alone of a name in s that a word follows.</summary>
    private static (int Length, char Apostrophe)? Possessive(string text, int end, string name)
    {
        if (end >= text.Length || !Apostrophes.Contains(text[end], StringComparison.Ordinal))
        {
            return null;
        }

        if (end + 1 < text.Length && text[end + 1] == 's' && WordBoundary.IsAt(text, end + 2))
        {
            return (2, text[end]);
        }

        var isBare = name.EndsWith('s') && end + 2 < text.Length && text[end + 1] == ' ' && IsLetterOrDigit(text, end + 2);
        return isBare ? (1, text[end]) : null;
    }

    /// <summary>Whether a sentence begins at a place: at the beginning of the text, or where a full stop, exclamation or question mark and
    /// space stand before it.</summary>
    private static bool BeginsSentence(string text, int start)
    {
        var (at, spaced) = (start, false);
        while (at > 0 && (char.IsWhiteSpace(text[at - 1]) || Opening.Contains(text[at - 1], StringComparison.Ordinal)))
        {
            spaced |= char.IsWhiteSpace(text[--at]);
        }

        return at == 0 || (spaced && SentenceEnds.Contains(text[at - 1], StringComparison.Ordinal));
    }

    private static bool Joins(char c) => c == '-' || Apostrophes.Contains(c, StringComparison.Ordinal);

    private static bool IsLetterOrDigit(string text, int index) =>
        char.IsLetterOrDigit(text, char.IsLowSurrogate(text[index]) && index > 0 ? index - 1 : index);

    /// <param name="Character">Who is mentioned.</param>
    /// <param name="Name">By which name.</param>
    /// <param name="Start">Where.</param>
    /// <param name="Length">Characters, with the ending of a possessive.</param>
    /// <param name="Apostrophe">That of a possessive; null for none.</param>
    private readonly record struct Mention(Character Character, string Name, int Start, int Length, char? Apostrophe);
}
