using System.Collections.Immutable;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Represents a prompt as token ids, with the positions of its words.</summary>
public sealed class TokenEncoding
{
    private const int LongestQuoted = 500;

    private readonly PromptTokenizer tokenizer;
    private readonly List<Token> tokens;
    private readonly IReadOnlyList<int> positions;

    /// <param name="tokenizer">What read the prompt.</param>
    /// <param name="text">The normalized prompt.</param>
    /// <param name="tokens">All of its tokens.</param>
    /// <param name="positions">Where the tokens are that fit, which are the first ones.</param>
    /// <param name="ids">The ids.</param>
    /// <param name="attentionMask">1 for each that is no padding.</param>
    internal TokenEncoding(
        PromptTokenizer tokenizer, string text, List<Token> tokens, IReadOnlyList<int> positions, long[] ids, long[] attentionMask)
    {
        this.tokenizer = tokenizer;
        this.tokens = tokens;
        this.positions = positions;
        Text = text;
        Ids = [.. ids];
        AttentionMask = [.. attentionMask];
    }

    /// <summary>Gets the ids, with begin and end tokens and padding.</summary>
    public ImmutableArray<long> Ids { get; }

    /// <summary>Gets the attention mask: 1 for a token of the prompt (begin and end tokens among them), 0 for padding; as long as <see
    /// cref="Ids"/>.</summary>
    public ImmutableArray<long> AttentionMask { get; }

    /// <summary>Gets the prompt as the model sees it: normalized, in lower case for CLIP.</summary>
    public string Text { get; }

    /// <summary>Gets a value indicating whether the end of the prompt did not fit.</summary>
    public bool IsTruncated => positions.Count < tokens.Count;

    /// <summary>Gets the end of <see cref="Text"/> that did not fit, empty if all did.</summary>
    public string TruncatedText => IsTruncated ? Text[tokens[positions.Count].Start..].Trim() : "";

    /// <summary>Returns the positions in <see cref="Ids"/> of all tokens that carry <paramref name="phrase"/>, at every place where it
    /// occurs as whole words, in any case. Of an occurrence that was cut in two, the tokens that fit.</summary>
    /// <param name="phrase">Words of the prompt, as they stand there: "a red fox".</param>
    /// <returns>Ascending positions, at least one.</returns>
    /// <exception cref="ArgumentException">The phrase is empty, is not in the prompt, or all of it was truncated away.</exception>
    public ImmutableArray<int> PositionsOf(string phrase)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(phrase);
        string sought = tokenizer.Normalize(phrase).Trim();
        if (sought.Length == 0)
        {
            throw new ArgumentException($"The phrase \"{phrase}\" holds nothing that the tokenizer keeps.", nameof(phrase));
        }

        var touched = new SortedSet<int>();
        foreach (int start in WholeWordMatches(sought))
        {
            touched.UnionWith(TokensIn(start, start + sought.Length));
        }

        if (touched.Count == 0)
        {
            throw new ArgumentException(
                $"The phrase \"{phrase}\" does not occur, as whole words, in the prompt \"{Short(Text)}\".", nameof(phrase));
        }

        touched.RemoveWhere(i => i >= positions.Count);
        if (touched.Count == 0)
        {
            throw new ArgumentException(
                $"The phrase \"{phrase}\" is in the part of the prompt that does not fit into {Ids.Length} tokens: "
                + $"\"{Short(TruncatedText)}\". Move it forward or shorten the prompt.", nameof(phrase));
        }

        return [.. touched.Select(i => positions[i])];
    }

    private static string Short(string text) => text.Length <= LongestQuoted ? text : $"{text[..LongestQuoted]}…";

    private IEnumerable<int> WholeWordMatches(string sought)
    {
        // Occurrences may overlap, as those of "fox fox" in "fox fox fox" do.
        for (int at = 0; (at = Text.IndexOf(sought, at, StringComparison.OrdinalIgnoreCase)) >= 0; at++)
        {
            if (WordBoundary.IsAt(Text, at) && WordBoundary.IsAt(Text, at + sought.Length))
            {
                yield return at;
            }
        }
    }

    private IEnumerable<int> TokensIn(int start, int end)
    {
        // Tokens follow each other in the text, so the first one that reaches beyond the start can be searched for.
        var (low, high) = (0, tokens.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = tokens[middle].End > start ? (low, middle) : (middle + 1, high);
        }

        for (int i = low; i < tokens.Count && tokens[i].Start < end; i++)
        {
            // T5's lone word marks are empty: they carry nothing of the phrase.
            if (tokens[i].Start < tokens[i].End)
            {
                yield return i;
            }
        }
    }
}
