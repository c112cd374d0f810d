using System.Buffers.Binary;

namespace StorySync.Pipelines;

/// <summary>EXIF data and XMP packet of a JPEG file: segments <c>APP1</c> before the pixels.</summary>
internal static class JpegMetadata
{
    // A segment's length counts its own two bytes; a comment of this many UTF-16 units leaves room for what precedes it.
    private const int LongestComment = 32_000;

    private const byte App0 = 0xE0;
    private const byte App1 = 0xE1;
    private const byte StartOfScan = 0xDA;

    private static ReadOnlySpan<byte> Exif => "Exif\0\0"u8;

    private static ReadOnlySpan<byte> Xmp => "http://ns.adobe.com/xap/1.0/\0"u8;

    public static bool IsJpeg(ReadOnlySpan<byte> file) => file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]);

    /// <summary>Inserts a comment and a packet.</summary>
    /// <param name="jpeg">The whole file.</param>
    /// <param name="comment">The comment; null for none.</param>
    /// <param name="xmp">The packet.</param>
    public static byte[] Insert(ReadOnlySpan<byte> jpeg, string? comment, ReadOnlySpan<byte> xmp)
    {
        // JFIF's segment, where there is one, comes first.
        var at = jpeg[3] == App0 ? 4 + BinaryPrimitives.ReadUInt16BigEndian(jpeg[4..]) : 2;
        var cut = comment is { Length: > LongestComment }
            ? comment[..(char.IsHighSurrogate(comment[LongestComment - 1]) ? LongestComment - 1 : LongestComment)] : comment;
        return
        [
            .. jpeg[..at],
            .. cut is null ? [] : Segment(Exif, ExifComment.Write(cut)),
            .. Segment(Xmp, xmp),
            .. jpeg[at..],
        ];
    }

    /// <summary>Reads comment and packet as far as they can be read.</summary>
    public static (string? Comment, byte[]? Xmp) Read(ReadOnlySpan<byte> jpeg)
    {
        var (comment, xmp) = ((string?)null, (byte[]?)null);
        for (var at = 2; at + 4 <= jpeg.Length && jpeg[at] == 0xFF && jpeg[at + 1] != StartOfScan;)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(jpeg[(at + 2)..]);
            if (length < 2 || at + 2 + length > jpeg.Length)
            {
                break;
            }

            var data = jpeg.Slice(at + 4, length - 2);
            if (jpeg[at + 1] == App1)
            {
                comment ??= data.StartsWith(Exif) ? ExifComment.Read(data) : null;
                xmp ??= data.StartsWith(Xmp) ? data[Xmp.Length..].ToArray() : null;
            }

            at += 2 + length;
        }

        return (comment, xmp);
    }

    private static byte[] Segment(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data)
    {
        byte[] segment = [0xFF, App1, 0, 0, .. name, .. data];
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), (ushort)(segment.Length - 2));
        return segment;
    }
}
