using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Where the UTF-8 bytes of a text lie among its characters.</summary>
internal readonly ref struct Utf8Positions
{
    private readonly ReadOnlySpan<char> _text;
    private readonly int[]? _runeStarts;

    public Utf8Positions(ReadOnlySpan<char> text)
    {
        _text = text;
        if (Ascii.IsValid(text))
        {
            return;
        }

        _runeStarts = new int[Encoding.UTF8.GetByteCount(text)];
        int at = 0, chars = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            _runeStarts.AsSpan(at, rune.Utf8SequenceLength).Fill(chars);
            at += rune.Utf8SequenceLength;
            chars += rune.Utf16SequenceLength;
        }
    }

    private int ByteCount => _runeStarts?.Length ?? _text.Length;

    /// <summary>The first character of the rune that byte <paramref name="index"/> belongs to.</summary>
    public int StartOf(int index) => index >= ByteCount ? _text.Length : _runeStarts?[index] ?? index;

    /// <summary>The end of the rune that the byte before <paramref name="index"/> belongs to.</summary>
    public int EndOf(int index)
    {
        if (index >= ByteCount)
        {
            return _text.Length;
        }

        if (_runeStarts is null || index == 0)
        {
            return index;
        }

        int start = _runeStarts[index - 1];
        return start + (char.IsHighSurrogate(_text[start]) ? 2 : 1);
    }
}
