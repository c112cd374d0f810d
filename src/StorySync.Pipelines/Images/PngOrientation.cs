using System.Buffers.Binary;
using SkiaSharp;

namespace StorySync.Pipelines;

/// <summary>The EXIF orientation of a PNG file (chunk <c>eXIf</c>), which SkiaSharp's codec does not look for.</summary>
internal static class PngOrientation
{
    private const int SignatureLength = 8;
    private const ushort OrientationTag = 0x0112;

    /// <summary>Reads the orientation; top left where the file has none, or EXIF data that cannot be read.</summary>
    public static SKEncodedOrigin Read(ReadOnlySpan<byte> png)
    {
        for (var at = SignatureLength; at <= png.Length - 12;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - 12)
            {
                break;
            }

            if (png.Slice(at + 4, 4).SequenceEqual("eXIf"u8))
            {
                return OfExif(png.Slice(at + 8, (int)length));
            }

            at += 12 + (int)length;
        }

        return SKEncodedOrigin.TopLeft;
    }

    private static SKEncodedOrigin OfExif(ReadOnlySpan<byte> exif)
    {
        if (exif.StartsWith("Exif\0\0"u8))
        {
            exif = exif[6..];
        }

        var isLittleEndian = exif.StartsWith("II*\0"u8);
        if (!isLittleEndian && !exif.StartsWith("MM\0*"u8) || exif.Length < 8)
        {
            return SKEncodedOrigin.TopLeft;
        }

        var table = isLittleEndian ? BinaryPrimitives.ReadUInt32LittleEndian(exif[4..]) : BinaryPrimitives.ReadUInt32BigEndian(exif[4..]);
        if (table > exif.Length - 2)
        {
            return SKEncodedOrigin.TopLeft;
        }

        var (entries, first) = (Short(exif, (int)table), (int)table + 2);
        for (var i = 0; i < entries && first + (12 * i) + 12 <= exif.Length; i++)
        {
            var entry = exif.Slice(first + (12 * i), 12);
            if (Short(entry, 0) == OrientationTag)
            {
                return Short(entry, 8) is >= 1 and <= 8 and var orientation ? (SKEncodedOrigin)orientation : SKEncodedOrigin.TopLeft;
            }
        }

        return SKEncodedOrigin.TopLeft;

        ushort Short(ReadOnlySpan<byte> data, int at) =>
            isLittleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(data[at..]) : BinaryPrimitives.ReadUInt16BigEndian(data[at..]);
    }
}
