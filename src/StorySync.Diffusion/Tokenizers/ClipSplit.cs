using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// Cuts lower-cased text into CLIP's words: English contractions, runs of letters, single digits, runs of anything else but spaces.
/// </summary>
/// <remarks>A regular expression of .NET sees UTF-16 units and would take letters outside the basic plane for punctuation.</remarks>
internal static class ClipSplit
{
    private enum Kind
    {
        Space,
        Letter,
        Number,
        Other,
    }

    private static readonly string[] Contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

    // Where these begin a word CLIP's pattern takes them as a whole, whatever the special tokens are; byte-level splitting then parts them.
    private static readonly (string Whole, string[] Parts)[] Markers =
        [("<|startoftext|>", ["<|", "startoftext", "|>"]), ("<|endoftext|>", ["<|", "endoftext", "|>"])];

    /// <summary>Returns the words of <paramref name="text"/>, each as its range [start, end).</summary>
    public static IEnumerable<(int Start, int End)> Words(string text)
    {
        int start = 0;
        while (start < text.Length)
        {
            if (Array.Find(Markers, m => At(text, start, m.Whole)).Parts is { } marker)
            {
                foreach (string part in marker)
                {
                    yield return (start, start += part.Length);
                }

                continue;
            }

            int end = WordEnd(text, start, out var kind);
            if (kind != Kind.Space)
            {
                yield return (start, end);
            }

            start = end;
        }
    }

    private static int WordEnd(string text, int start, out Kind kind)
    {
        int end = start;
        kind = Next(text, ref end);
        if (kind == Kind.Other && Array.Find(Contractions, c => At(text, start, c)) is { } contraction)
        {
            return start + contraction.Length;
        }

        if (kind == Kind.Number)
        {
            return end;
        }

        for (int next = end; next < text.Length && Next(text, ref next) == kind; end = next)
        {
        }
        return end;
    }

    private static bool At(string text, int start, string part) => string.CompareOrdinal(text, start, part, 0, part.Length) == 0;

    /// <summary>The kind of the character at <paramref name="index"/>, which moves past it.</summary>
    private static Kind Next(string text, ref int index)
    {
        var rune = Rune.GetRuneAt(text, index);
        index += rune.Utf16SequenceLength;
        return Rune.IsWhiteSpace(rune) ? Kind.Space
            : Rune.IsLetter(rune) ? Kind.Letter
            : Rune.IsNumber(rune) ? Kind.Number
            : Kind.Other;
    }
}
