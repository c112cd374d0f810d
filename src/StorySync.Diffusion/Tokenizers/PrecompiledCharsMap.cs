using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// The normalization map inside a SentencePiece model (nmt_nfkc and its like): a double-array trie from UTF-8 sequences to their
/// replacements, applied grapheme by grapheme as the <c>Precompiled</c> normalizer of Hugging Face's tokenizers does.
/// </summary>
internal sealed class PrecompiledCharsMap
{
    // Longer graphemes are looked up character by character.
    private const int LongestWholeGrapheme = 5;
    private const int LongestRune = 4;

    private readonly uint[] trie;
    private readonly byte[] replacements;

    /// <param name="blob">Size of the trie in bytes (little-endian uint32), the trie, then NUL-terminated UTF-8 replacements.</param>
    /// <exception cref="InvalidDataException">The trie does not fit into the blob.</exception>
    public PrecompiledCharsMap(ReadOnlySpan<byte> blob)
    {
        uint size = blob.Length >= sizeof(uint) ? BinaryPrimitives.ReadUInt32LittleEndian(blob) : 0;
        if (size == 0 || size % sizeof(uint) != 0 || size > blob.Length - sizeof(uint))
        {
            throw new InvalidDataException($"its precompiled_charsmap of {blob.Length} bytes does not hold the trie that it announces");
        }

        trie = new uint[size / sizeof(uint)];
        for (int i = 0; i < trie.Length; i++)
        {
            trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[((i + 1) * sizeof(uint))..]);
        }

        replacements = blob[(int)(sizeof(uint) + size)..].ToArray();
    }

    /// <summary>Normalizes <paramref name="text"/>, which must be well-formed UTF-16.</summary>
    public string Normalize(string text)
    {
        var result = new StringBuilder(text.Length);
        Span<byte> utf8 = stackalloc byte[LongestWholeGrapheme];
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var grapheme = rest[..StringInfo.GetNextTextElementLength(rest)];
            rest = rest[grapheme.Length..];
            if (!Encoding.UTF8.TryGetBytes(grapheme, utf8, out int length) || !TryReplace(utf8[..length], result))
            {
                AppendByRune(grapheme, result);
            }
        }
        return result.ToString();
    }

    private void AppendByRune(ReadOnlySpan<char> grapheme, StringBuilder result)
    {
        Span<byte> utf8 = stackalloc byte[LongestRune];
        while (!grapheme.IsEmpty)
        {
            Rune.DecodeFromUtf16(grapheme, out var rune, out int chars);
            if (!TryReplace(utf8[..rune.EncodeToUtf8(utf8)], result))
            {
                result.Append(grapheme[..chars]);
            }

            grapheme = grapheme[chars..];
        }
    }

    /// <summary>
    /// Appends the replacement of the shortest prefix of <paramref name="key"/> that the map knows. What follows that prefix is dropped:
    /// so the reference does, and the maps are made for it.
    /// </summary>
    private bool TryReplace(ReadOnlySpan<byte> key, StringBuilder result)
    {
        uint node = Offset(trie[0]);
        foreach (byte b in key)
        {
            node ^= b;
            if (b == 0 || node >= trie.Length || Label(trie[node]) != b)
            {
                return false;
            }

            uint unit = trie[node];
            node ^= Offset(unit);
            if (HasLeaf(unit) && node < trie.Length)
            {
                AppendReplacement((int)Value(trie[node]), result);
                return true;
            }
        }
        return false;
    }

    private void AppendReplacement(int start, StringBuilder result)
    {
        if (start >= replacements.Length)
        {
            return;
        }

        var replacement = replacements.AsSpan(start);
        int end = replacement.IndexOf((byte)0);
        result.Append(Encoding.UTF8.GetString(end < 0 ? replacement : replacement[..end]));
    }

    // The layout of a unit is that of the Darts-clone library.
    private static bool HasLeaf(uint unit) => (unit & 0x100) != 0;

    private static uint Value(uint unit) => unit & 0x7FFF_FFFF;

    private static uint Label(uint unit) => unit & 0x8000_00FF;

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 0x200) >> 6);
}
