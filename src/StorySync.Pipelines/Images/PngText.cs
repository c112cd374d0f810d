using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace StorySync.Pipelines;

/// <summary>Text in a PNG file (PNG specification, chunks <c>tEXt</c>, <c>zTXt</c> and <c>iTXt</c>), where tools keep generation
/// settings.</summary>
internal static class PngText
{
    // Signature (8 bytes) and header chunk (length, type, 13 bytes, checksum): text may follow immediately.
    private const int EndOfHeader = 8 + 4 + 4 + 13 + 4;

    // A text of this size is no setting; the bound keeps a compressed one from filling the memory.
    private const int MaximumLength = 1 << 24;

    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', (byte)'\r', (byte)'\n', 0x1A, (byte)'\n'];

    /// <summary>Inserts texts after the header of a PNG file.</summary>
    /// <exception cref="ArgumentException">A keyword is not one that the PNG specification allows.</exception>
    public static byte[] Insert(ReadOnlySpan<byte> png, IReadOnlyDictionary<string, string> texts)
    {
        using var file = new MemoryStream();
        file.Write(png[..EndOfHeader]);
        foreach (var (keyword, text) in texts)
        {
            file.Write(Chunk(keyword, text));
        }

        file.Write(png[EndOfHeader..]);
        return file.ToArray();
    }

    /// <summary>Reads the texts of a PNG file by keyword; the last of several with the same keyword is taken.</summary>
    /// <param name="png">The whole file.</param>
    /// <param name="source">The file as messages name it.</param>
    /// <exception cref="InvalidDataException">It is no PNG file, truncated or damaged.</exception>
    public static IReadOnlyDictionary<string, string> Read(ReadOnlySpan<byte> png, string source)
    {
        if (!png.StartsWith(Signature))
        {
            throw new InvalidDataException($"{source} is no PNG file; texts are read from PNG files only.");
        }

        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var at = Signature.Length; ;)
        {
            var length = png.Length - at < 12 ? uint.MaxValue : BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - 12)
            {
                throw new InvalidDataException($"{source} is truncated: a chunk at byte {at} goes beyond its end.");
            }

            var type = png.Slice(at + 4, 4);
            var data = png.Slice(at + 8, (int)length);
            if (type.SequenceEqual("IEND"u8))
            {
                return texts;
            }

            if (IsText(type))
            {
                var (keyword, text) = Parse(type[0], data, source);
                texts[keyword] = text;
            }

            at += 12 + (int)length;
        }
    }

    /// <summary>Finds a text; null where the file has none of that keyword, or it cannot be read.</summary>
    public static string? Find(ReadOnlySpan<byte> png, string keyword)
    {
        byte[] begin = [.. Encoding.Latin1.GetBytes(keyword), 0];
        for (var at = Signature.Length; png.StartsWith(Signature) && png.Length - at >= 12;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - 12)
            {
                break;
            }

            var type = png.Slice(at + 4, 4);
            var data = png.Slice(at + 8, (int)length);
            if (IsText(type) && data.StartsWith(begin))
            {
                try
                {
                    return Parse(type[0], data, "The file").Text;
                }
                catch (InvalidDataException)
                {
                    return null;
                }
            }

            at += 12 + (int)length;
        }

        return null;
    }

    private static bool IsText(ReadOnlySpan<byte> type) =>
        type.SequenceEqual("tEXt"u8) || type.SequenceEqual("zTXt"u8) || type.SequenceEqual("iTXt"u8);

    /// <summary>Reads the data of a chunk with a text.</summary>
    /// <param name="type">The first letter of the chunk's type.</param>
    /// <param name="data">The data.</param>
    /// <param name="source">The file as messages name it.</param>
    /// <exception cref="InvalidDataException">The text is damaged.</exception>
    public static (string Keyword, string Text) Parse(byte type, ReadOnlySpan<byte> data, string source)
    {
        try
        {
            var rest = data;
            var keyword = Encoding.Latin1.GetString(Next(ref rest));
            switch (type)
            {
                case (byte)'t':
                    return (keyword, Encoding.Latin1.GetString(rest));
                case (byte)'z':
                    return (keyword, Encoding.Latin1.GetString(Inflate(rest[1..])));
                default:
                    // Whether it is compressed, the method, the language and the translated keyword precede the text.
                    var isCompressed = rest[0] != 0;
                    rest = rest[2..];
                    Next(ref rest);
                    Next(ref rest);
                    return (keyword, Encoding.UTF8.GetString(isCompressed ? Inflate(rest) : rest));
            }
        }
        catch (Exception exception) when (exception is ArgumentException or IndexOutOfRangeException or InvalidDataException)
        {
            throw new InvalidDataException($"{source} is damaged: one of its texts cannot be read.", exception);
        }
    }

    /// <summary>Cuts off what ends with a zero.</summary>
    private static ReadOnlySpan<byte> Next(ref ReadOnlySpan<byte> data)
    {
        var end = data.IndexOf((byte)0);
        var field = data[..end];
        data = data[(end + 1)..];
        return field;
    }

    private static byte[] Inflate(ReadOnlySpan<byte> data)
    {
        using var stream = new ZLibStream(new MemoryStream(data.ToArray()), CompressionMode.Decompress);
        var buffer = new byte[MaximumLength];
        var length = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        return stream.ReadByte() < 0 ? buffer[..length] : throw new InvalidDataException("The text is too long.");
    }

    private static byte[] Chunk(string keyword, string text)
    {
        ThrowIfInvalid(keyword);
        byte[] body = [.. "iTXt"u8, .. Encoding.Latin1.GetBytes(keyword), 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(text)];
        var chunk = new byte[body.Length + 8];
        BinaryPrimitives.WriteInt32BigEndian(chunk, body.Length - 4);
        body.CopyTo(chunk, 4);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(body.Length + 4), Crc32.HashToUInt32(body));
        return chunk;
    }

    /// <summary>The rules of the PNG specification, 11.3.3.2.</summary>
    private static void ThrowIfInvalid(string keyword)
    {
        var isPrintable = keyword.All(c => c is >= ' ' and <= '~' or >= '\u00a1' and <= '\u00ff');
        if (keyword.Length is 0 or > 79 || !isPrintable || keyword != keyword.Trim(' ') || keyword.Contains("  ", StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{keyword}' is no PNG keyword: expected 1 to 79 printable Latin-1 characters, "
                + "without spaces at the ends or two in a row.", nameof(keyword));
        }
    }
}
