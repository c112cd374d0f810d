using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Where the UTF-8 bytes of a text lie among its characters.</summary>
internal readonly ref struct Utf8Positions
{
    private readonly ReadOnlySpan<char> text;
    private readonly int[]? runeStarts;

    public Utf8Positions(ReadOnlySpan<char> text)
    {
        this.text = text;
        if (Ascii.IsValid(text))
        {
            return;
        }

        runeStarts = new int[Encoding.UTF8.GetByteCount(text)];
        int at = 0, chars = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            runeStarts.AsSpan(at, rune.Utf8SequenceLength).Fill(chars);
            at += rune.Utf8SequenceLength;
            chars += rune.Utf16SequenceLength;
        }
    }

    private int ByteCount => runeStarts?.Length ?? text.Length;

    /// <summary>Returns the first character of the rune that byte <paramref name="index"/> belongs to.</summary>
    public int StartOf(int index) => index >= ByteCount ? text.Length : runeStarts?[index] ?? index;

    /// <summary>Returns the end of the rune that the byte before <paramref name="index"/> belongs to.</summary>
    public int EndOf(int index)
    {
        if (index >= ByteCount)
        {
            return text.Length;
        }

        if (runeStarts is null || index == 0)
        {
            return index;
        }

        int start = runeStarts[index - 1];
        return start + (char.IsHighSurrogate(text[start]) ? 2 : 1);
    }
}
