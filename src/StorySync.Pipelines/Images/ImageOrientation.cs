using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using SkiaSharp;

namespace StorySync.Pipelines;

/// <summary>How an image is to be turned, found as Pillow finds it: by the orientation in the EXIF data, or, where that has none, by that
/// in the XMP data. SkiaSharp looks for EXIF data in JPEG and WebP files alone, and never for XMP data.</summary>
internal static partial class ImageOrientation
{
    private const int SignatureLength = 8;
    private const ushort OrientationTag = 0x0112;
    private const ushort TypeShort = 3;
    private const ushort TypeLong = 4;

    // Line feed, what it is, the number of bytes, then the bytes in hexadecimal digits.
    private const int LinesBeforeProfile = 3;

    private static ReadOnlySpan<byte> ExifHeader => "Exif\0\0"u8;

    private static ReadOnlySpan<byte> XmpHeader => "http://ns.adobe.com/xap/1.0/\0"u8;

    /// <summary>Reads the orientation; top left where the file has none, or data that cannot be read.</summary>
    /// <param name="file">The whole file.</param>
    /// <param name="format">Its format.</param>
    public static SKEncodedOrigin Read(byte[] file, SKEncodedImageFormat format)
    {
        var (exif, xmp) = format switch
        {
            SKEncodedImageFormat.Png => OfPng(file),
            SKEncodedImageFormat.Jpeg => OfJpeg(file),
            SKEncodedImageFormat.Webp => OfWebP(file),
            _ => default,
        };
        return (OfExif(exif) ?? OfXmp(xmp)) is >= 1 and <= 8 and var orientation ? (SKEncodedOrigin)orientation : SKEncodedOrigin.TopLeft;
    }

    private static (byte[]? Exif, byte[]? Xmp) OfPng(ReadOnlySpan<byte> png)
    {
        var (exif, profile, xmp) = ((byte[]?)null, (byte[]?)null, (byte[]?)null);
        for (var at = SignatureLength; at <= png.Length - 12;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - 12)
            {
                break;
            }

            var type = png.Slice(at + 4, 4);
            var data = png.Slice(at + 8, (int)length);
            if (type.SequenceEqual("eXIf"u8))
            {
                exif ??= data.ToArray();
            }
            else if (data.StartsWith("Raw profile type exif\0"u8))
            {
                profile ??= Profile(Text(type, data));
            }
            else if (data.StartsWith("XML:com.adobe.xmp\0"u8))
            {
                xmp ??= Encoding.UTF8.GetBytes(Text(type, data));
            }

            at += 12 + (int)length;
        }

        return (exif ?? profile, xmp);
    }

    private static string Text(ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        try
        {
            return type.EndsWith("Xt"u8) ? PngText.Parse(type[0], data, "").Text : "";
        }
        catch (InvalidDataException)
        {
            return "";
        }
    }

    /// <summary>The bytes of EXIF data that ImageMagick wrote as a text.</summary>
    private static byte[]? Profile(string text)
    {
        try
        {
            return Convert.FromHexString(string.Concat(text.Split('\n').Skip(LinesBeforeProfile)).Trim());
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static (byte[]? Exif, byte[]? Xmp) OfJpeg(ReadOnlySpan<byte> jpeg)
    {
        var (exif, xmp) = ((byte[]?)null, (byte[]?)null);
        const byte marker = 0xFF, application1 = 0xE1, startOfScan = 0xDA;
        for (var at = 2; at <= jpeg.Length - 4 && jpeg[at] == marker && jpeg[at + 1] != startOfScan;)
        {
            if (jpeg[at + 1] == marker)
            {
                at++;
                continue;
            }

            var length = BinaryPrimitives.ReadUInt16BigEndian(jpeg[(at + 2)..]);
            if (length < 2 || length > jpeg.Length - at - 2)
            {
                break;
            }

            var data = jpeg.Slice(at + 4, length - 2);
            if (jpeg[at + 1] == application1 && data.StartsWith(ExifHeader))
            {
                exif ??= data.ToArray();
            }
            else if (jpeg[at + 1] == application1 && data.StartsWith(XmpHeader))
            {
                xmp ??= data[XmpHeader.Length..].ToArray();
            }

            at += 2 + length;
        }

        return (exif, xmp);
    }

    private static (byte[]? Exif, byte[]? Xmp) OfWebP(ReadOnlySpan<byte> webp)
    {
        var (exif, xmp) = ((byte[]?)null, (byte[]?)null);
        const int header = 12;
        for (var at = header; at <= webp.Length - 8;)
        {
            var length = BinaryPrimitives.ReadUInt32LittleEndian(webp[(at + 4)..]);
            if (length > webp.Length - at - 8)
            {
                break;
            }

            var type = webp.Slice(at, 4);
            var data = webp.Slice(at + 8, (int)length);
            if (type.SequenceEqual("EXIF"u8))
            {
                exif ??= data.ToArray();
            }
            else if (type.SequenceEqual("XMP "u8))
            {
                xmp ??= data.ToArray();
            }

            // Chunks begin at even places.
            at += 8 + (int)length + ((int)length & 1);
        }

        return (exif, xmp);
    }

    private static uint? OfExif(ReadOnlySpan<byte> exif)
    {
        if (exif.StartsWith(ExifHeader))
        {
            exif = exif[ExifHeader.Length..];
        }

        var isLittleEndian = exif.StartsWith("II*\0"u8);
        if (!isLittleEndian && !exif.StartsWith("MM\0*"u8) || exif.Length < 8)
        {
            return null;
        }

        var table = Long(exif, 4);
        if (table > exif.Length - 2)
        {
            return null;
        }

        var (entries, first) = (Short(exif, (int)table), (int)table + 2);
        for (var i = 0; i < entries && first + (12 * i) + 12 <= exif.Length; i++)
        {
            var entry = exif.Slice(first + (12 * i), 12);
            if (Short(entry, 0) == OrientationTag)
            {
                return (Short(entry, 2), Long(entry, 4)) switch
                {
                    (TypeShort, 1) => Short(entry, 8),
                    (TypeLong, 1) => Long(entry, 8),
                    _ => 0,
                };
            }
        }

        return null;

        ushort Short(ReadOnlySpan<byte> data, int at) =>
            isLittleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(data[at..]) : BinaryPrimitives.ReadUInt16BigEndian(data[at..]);

        uint Long(ReadOnlySpan<byte> data, int at) =>
            isLittleEndian ? BinaryPrimitives.ReadUInt32LittleEndian(data[at..]) : BinaryPrimitives.ReadUInt32BigEndian(data[at..]);
    }

    private static uint? OfXmp(ReadOnlySpan<byte> xmp) =>
        XmpOrientation().Match(Encoding.Latin1.GetString(xmp)) is { Success: true } found
            ? uint.Parse(found.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : null;

    [GeneratedRegex("tiff:Orientation(?:=\"|>)([0-9])")]
    private static partial Regex XmpOrientation();
}
