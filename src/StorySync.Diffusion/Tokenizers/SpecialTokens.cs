using System.Buffers;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>A token that is cut out of the text before the model sees it.</summary>
/// <param name="Content">Its text.</param>
/// <param name="Normalized">Whether it is looked for in the normalized text (so in any case, where normalizing lowers the case).</param>
internal sealed record SpecialToken(string Content, bool Normalized);

/// <summary>Finds special tokens in a text: the leftmost, and there the longest.</summary>
internal sealed class SpecialTokens
{
    private readonly SearchValues<string> any;
    private readonly (string Content, IReadOnlyList<int> Ids)[] longestFirst;

    /// <param name="tokens">Their texts, and the ids that stand for each.</param>
    public SpecialTokens(IEnumerable<(string Content, IReadOnlyList<int> Ids)> tokens)
    {
        longestFirst = [.. tokens.Where(t => t.Content.Length > 0).OrderByDescending(t => t.Content.Length)];
        any = SearchValues.Create([.. longestFirst.Select(t => t.Content)], StringComparison.Ordinal);
    }

    /// <summary>Cuts <paramref name="text"/> into its special tokens (with their ids) and what lies between (with null).</summary>
    public IEnumerable<(string Text, IReadOnlyList<int>? Ids)> Split(string text)
    {
        int start = 0;
        while (start < text.Length)
        {
            int found = text.AsSpan(start).IndexOfAny(any);
            if (found != 0)
            {
                yield return (found < 0 ? text[start..] : text.Substring(start, found), null);
            }

            if (found < 0)
            {
                yield break;
            }

            start += found;
            var token = Array.Find(longestFirst, t => text.AsSpan(start).StartsWith(t.Content, StringComparison.Ordinal));
            yield return (token.Content, token.Ids);
            start += token.Content.Length;
        }
    }
}
