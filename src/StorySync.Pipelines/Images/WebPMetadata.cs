using System.Buffers.Binary;

namespace StorySync.Pipelines;

/// <summary>EXIF data and XMP packet of a WebP file (RFC 9649): chunks of the extended format.</summary>
internal static class WebPMetadata
{
    private const int FileHeader = 12;
    private const int ChunkHeader = 8;
    private const byte HasXmp = 0x04;
    private const byte HasExif = 0x08;

    public static bool IsWebP(ReadOnlySpan<byte> file) =>
        file.Length >= FileHeader && file.StartsWith("RIFF"u8) && file[8..].StartsWith("WEBP"u8);

    /// <summary>Adds a comment and a packet.</summary>
    /// <param name="webp">The whole file, of an opaque image.</param>
    /// <param name="width">The image's columns.</param>
    /// <param name="height">The image's rows.</param>
    /// <param name="comment">The comment; null for none.</param>
    /// <param name="xmp">The packet.</param>
    public static byte[] Insert(ReadOnlySpan<byte> webp, int width, int height, string? comment, ReadOnlySpan<byte> xmp)
    {
        // A file in the simple format becomes one in the extended, whose first chunk tells what else there is.
        var isExtended = webp[FileHeader..].StartsWith("VP8X"u8);
        var header = new byte[10];
        if (isExtended)
        {
            webp.Slice(FileHeader + ChunkHeader, header.Length).CopyTo(header);
        }
        else
        {
            Write24(header.AsSpan(4), width - 1);
            Write24(header.AsSpan(7), height - 1);
        }

        header[0] |= (byte)(HasXmp | (comment is null ? 0 : HasExif));
        byte[] file =
        [
            .. webp[..FileHeader],
            .. Chunk("VP8X"u8, header),
            .. webp[(isExtended ? FileHeader + ChunkHeader + header.Length : FileHeader)..],
            .. comment is null ? [] : Chunk("EXIF"u8, ExifComment.Write(comment)),
            .. Chunk("XMP "u8, xmp),
        ];
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(4), (uint)(file.Length - ChunkHeader));
        return file;
    }

    /// <summary>Reads comment and packet as far as they can be read.</summary>
    public static (string? Comment, byte[]? Xmp) Read(ReadOnlySpan<byte> webp)
    {
        var (comment, xmp) = ((string?)null, (byte[]?)null);
        for (long at = FileHeader; at + ChunkHeader <= webp.Length;)
        {
            var chunk = webp[(int)at..];
            var length = BinaryPrimitives.ReadUInt32LittleEndian(chunk[4..]);
            if (length > chunk.Length - ChunkHeader)
            {
                break;
            }

            var data = chunk.Slice(ChunkHeader, (int)length);
            comment ??= chunk.StartsWith("EXIF"u8) ? ExifComment.Read(data) : null;
            xmp ??= chunk.StartsWith("XMP "u8) ? data.ToArray() : null;
            at += ChunkHeader + length + (length % 2);
        }

        return (comment, xmp);
    }

    private static void Write24(Span<byte> target, int value) =>
        (target[0], target[1], target[2]) = ((byte)value, (byte)(value >> 8), (byte)(value >> 16));

    private static byte[] Chunk(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data)
    {
        byte[] chunk = [.. name, 0, 0, 0, 0, .. data, .. data.Length % 2 == 0 ? [] : (ReadOnlySpan<byte>)[0]];
        BinaryPrimitives.WriteUInt32LittleEndian(chunk.AsSpan(4), (uint)data.Length);
        return chunk;
    }
}
