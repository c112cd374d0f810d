using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace StorySync.Pipelines;

/// <summary>Text in a PNG file (PNG specification, chunk <c>iTXt</c>; other tools read generation settings from there).</summary>
internal static class PngText
{
    // Signature (8 bytes) and header chunk (length, type, 13 bytes, checksum): text may come right behind them.
    private const int EndOfHeader = 8 + 4 + 4 + 13 + 4;

    /// <summary>Puts texts behind the header of a PNG file.</summary>
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

    /// <summary>The texts of a PNG file's uncompressed <c>iTXt</c> chunks, by keyword.</summary>
    public static IReadOnlyDictionary<string, string> Read(ReadOnlySpan<byte> png)
    {
        var texts = new Dictionary<string, string>();
        for (var at = 8; at + 12 <= png.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(png[at..]);
            if (png.Slice(at + 4, 4).SequenceEqual("iTXt"u8))
            {
                var data = png.Slice(at + 8, length);
                var keyword = data.IndexOf((byte)0);

                // Behind the keyword: its end, two bytes on compression, an empty language and an empty translation.
                texts[Encoding.Latin1.GetString(data[..keyword])] = Encoding.UTF8.GetString(data[(keyword + 5)..]);
            }

            at += 12 + length;
        }

        return texts;
    }

    private static byte[] Chunk(string keyword, string text)
    {
        if (keyword.Length is 0 or > 79 || keyword.Any(c => c is '\0' or > '\u00ff'))
        {
            throw new ArgumentException($"'{keyword}' is no PNG keyword: expected 1–79 Latin-1 characters.", nameof(keyword));
        }

        byte[] body = [.. "iTXt"u8, .. Encoding.Latin1.GetBytes(keyword), 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(text)];
        var chunk = new byte[body.Length + 8];
        BinaryPrimitives.WriteInt32BigEndian(chunk, body.Length - 4);
        body.CopyTo(chunk, 4);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(body.Length + 4), Crc32.HashToUInt32(body));
        return chunk;
    }
}
