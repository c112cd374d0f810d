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
    private readonly (string Content, int Id)[] longestFirst;

    public SpecialTokens(IEnumerable<(string Content, int Id)> tokens)
    {
        longestFirst = [.. tokens.Where(t => t.Content.Length > 0).OrderByDescending(t => t.Content.Length)];
        any = SearchValues.Create([.. longestFirst.Select(t => t.Content)], StringComparison.Ordinal);
    }

    /// <summary>Cuts <paramref name="text"/> into its special tokens (with their id) and what lies between (with null).</summary>
    public IEnumerable<(string Text, int? Id)> Split(string text)
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
            yield return (token.Content, token.Id);
            start += token.Content.Length;
        }
    }
}
