using SkiaSharp;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

// What is written to files, with what it says of its origin.
public sealed partial class RgbImage
{
    /// <summary>Writes the image as PNG, whole or not at all.</summary>
    /// <param name="path">The file to write; its folder is created if it does not exist.</param>
    /// <param name="text">Texts to embed by keyword, for example generation settings under <c>parameters</c>; keywords are 1 to 79
    /// printable
    /// Latin-1 characters, without spaces at the ends or two in a row.</param>
    public void SavePng(string path, IReadOnlyDictionary<string, string>? text = null) => WriteFile(path, EncodePng(text));

    /// <summary>Writes the image in the format that the file's extension names (.png, .jpg, .jpeg, .webp), whole or not at all.</summary>
    /// <param name="path">The file to write; its folder is created if it does not exist.</param>
    /// <param name="quality">As in <see cref="Encode"/>.</param>
    /// <exception cref="ArgumentException">The extension is none of these.</exception>
    public void Save(string path, int quality = 90)
    {
        ArgumentNullException.ThrowIfNull(path);
        var format = Path.GetExtension(path).ToUpperInvariant() switch
        {
            ".PNG" => ImageFormat.Png,
            ".JPG" or ".JPEG" => ImageFormat.Jpeg,
            ".WEBP" => ImageFormat.WebP,
            var other => throw new ArgumentException($"'{path}' ends in '{other}'; expected .png, .jpg, .jpeg or .webp.", nameof(path)),
        };
        WriteFile(path, Encode(format, quality));
    }

    /// <summary>Writes the image to a stream.</summary>
    /// <param name="stream">The stream; it stays open.</param>
    /// <param name="format">The format.</param>
    /// <param name="quality">As in <see cref="Encode"/>.</param>
    public void Save(Stream stream, ImageFormat format = ImageFormat.Png, int quality = 90)
    {
        ArgumentNullException.ThrowIfNull(stream);
        stream.Write(Encode(format, quality));
    }

    /// <summary>Encodes the image as a PNG file in memory.</summary>
    /// <param name="text">Texts to embed by keyword, as in <see cref="SavePng"/>. They replace those of <see cref="Provenance"/>.</param>
    public byte[] EncodePng(IReadOnlyDictionary<string, string>? text = null) =>
        ImageMarks.Insert(Compress(ImageFormat.Png, quality: 100), this, ImageFormat.Png, text);

    /// <summary>Encodes the image as a file in memory.</summary>
    /// <param name="format">The format.</param>
    /// <param name="quality">The quality of JPEG and WebP, 0 to 100; WebP is lossless at 100. Ignored for PNG.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="quality"/> or <paramref name="format"/> is out of range.</exception>
    public byte[] Encode(ImageFormat format, int quality = 90)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(quality);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(quality, 100);
        return ImageMarks.Insert(Compress(format, quality), this, format);
    }

    /// <summary>Encodes the image with its transparency as a PNG file in memory, so that what is read from it is the same as a mask
    /// too.</summary>
    internal byte[] EncodeTransparent()
    {
        if (transparent is null)
        {
            return EncodePng();
        }

        using var bitmap = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        var target = bitmap.GetPixelSpan();
        for (var i = 0; i < transparent.Alpha.Length; i++)
        {
            transparent.Colors.AsSpan(3 * i, 3).CopyTo(target[(4 * i)..]);
            target[(4 * i) + 3] = transparent.Alpha[i];
        }

        using var data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return ImageMarks.Insert(data.ToArray(), this, ImageFormat.Png);
    }

    private byte[] Compress(ImageFormat format, int quality)
    {
        using var bitmap = ToBitmap();
        using var data = bitmap.Encode(
            format switch
            {
                ImageFormat.Png => SKEncodedImageFormat.Png,
                ImageFormat.Jpeg => SKEncodedImageFormat.Jpeg,
                ImageFormat.WebP => SKEncodedImageFormat.Webp,
                _ => throw new ArgumentOutOfRangeException(nameof(format), format, "It must be a member of ImageFormat."),
            },
            quality)
            ?? throw new InvalidOperationException($"An image of {Width} × {Height} pixels cannot be encoded as {format}.");
        return data.ToArray();
    }

    private static void WriteFile(string path, byte[] encoded)
    {
        ArgumentNullException.ThrowIfNull(path);
        var full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        AtomicFile.Write(full, stream => stream.Write(encoded));
    }
}
