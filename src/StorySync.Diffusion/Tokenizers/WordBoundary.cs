using System.Globalization;
using System.Text;

namespace StorySync.Diffusion.Tokenizers;

internal static class WordBoundary
{
    // Scripts written without spaces, where any two characters may belong to two words:
    // Thai and Lao, Myanmar, Khmer, Japanese and Chinese (with the supplementary planes).
    private static readonly (int First, int Last)[] Unspaced =
        [(0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)];

    /// <summary>Returns a value indicating whether a word may begin or end at <paramref name="index"/> of well-formed <paramref
    /// name="text"/>.</summary>
    public static bool IsAt(string text, int index)
    {
        if (Rune.DecodeLastFromUtf16(text.AsSpan(0, index), out var before, out _) != System.Buffers.OperationStatus.Done
            || Rune.DecodeFromUtf16(text.AsSpan(index), out var after, out _) != System.Buffers.OperationStatus.Done)
        {
            return true;
        }
        if (IsMark(after))
        {
            return false;
        }

        return !IsWord(before) || !IsWord(after) || IsUnspaced(before) || IsUnspaced(after);
    }

    private static bool IsWord(Rune rune) => Rune.IsLetterOrDigit(rune) || Rune.IsNumber(rune) || IsMark(rune) || rune.Value == '_';

    private static bool IsMark(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;

    private static bool IsUnspaced(Rune rune) => Array.Exists(Unspaced, range => rune.Value >= range.First && rune.Value <= range.Last);
}
