using System.Globalization;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

// What files are read as, and what they say of themselves.
public sealed partial class RgbImage
{
    /// <summary>The largest number of pixels that is decoded unless a caller gives another: 178,956,970, as in Pillow.</summary>
    public const long DefaultMaxPixels = 178_956_970;

    /// <summary>Reads an image file (PNG, JPEG, WebP, GIF, BMP).</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">The largest number of pixels that is decoded, at least 1. The header is checked before any memory is taken
    /// for
    /// pixels; reading takes seven to fourteen bytes a pixel.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not an image that can be read, too large, truncated or damaged.</exception>
    public static RgbImage Load(string path, long maxPixels = DefaultMaxPixels)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Read(ReadFile(path), $"'{path}'", maxPixels);
    }

    /// <summary>Reads an image from a stream, to its end.</summary>
    /// <param name="stream">A stream at the beginning of an encoded image; it stays open.</param>
    /// <param name="maxPixels">As in <see cref="Load(string, long)"/>.</param>
    /// <exception cref="InvalidDataException">The data is not an image that can be read, too large, truncated or damaged.</exception>
    public static RgbImage Load(Stream stream, long maxPixels = DefaultMaxPixels)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var buffer = new MemoryStream();
        stream.CopyTo(buffer);
        return Read(buffer.ToArray(), "The stream", maxPixels);
    }

    /// <summary>Decodes an image in memory.</summary>
    /// <param name="encoded">A whole file: PNG, JPEG, WebP, GIF or BMP.</param>
    /// <param name="maxPixels">As in <see cref="Load(string, long)"/>.</param>
    /// <exception cref="InvalidDataException">The data is not an image that can be read, too large, truncated or damaged.</exception>
    public static RgbImage Decode(ReadOnlySpan<byte> encoded, long maxPixels = DefaultMaxPixels) =>
        Read(encoded.ToArray(), "The data", maxPixels);

    /// <summary>Reads the transparency of an image file, as a mask of what an image shows that is cut out of its background.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">As in <see cref="Load(string, long)"/>.</param>
    /// <returns>White where the image is opaque, black where it is transparent, grays between; null where all of it is opaque.</returns>
    /// <inheritdoc cref="Load(string, long)" path="/exception"/>
    public static RgbImage? LoadAlpha(string path, long maxPixels = DefaultMaxPixels)
    {
        ArgumentNullException.ThrowIfNull(path);
        return ReadAlpha(ReadFile(path), $"'{path}'", maxPixels);
    }

    /// <summary>Reads the transparency of an image file in memory, as <see cref="LoadAlpha"/> does.</summary>
    /// <inheritdoc cref="Decode" path="/param"/>
    /// <returns>White where the image is opaque, black where it is transparent, grays between; null where all of it is opaque.</returns>
    /// <inheritdoc cref="Decode" path="/exception"/>
    public static RgbImage? DecodeAlpha(ReadOnlySpan<byte> encoded, long maxPixels = DefaultMaxPixels) =>
        ReadAlpha(encoded.ToArray(), "The data", maxPixels);

    /// <summary>Reads the texts of a PNG file, such as the generation settings that <see cref="SavePng"/> embeds.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The texts by keyword.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is no PNG file, truncated or damaged.</exception>
    public static IReadOnlyDictionary<string, string> ReadPngText(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return PngText.Read(ReadFile(path), $"'{path}'");
    }

    /// <summary>Reads the texts of a PNG file in memory.</summary>
    /// <param name="encoded">The whole file.</param>
    /// <returns>The texts by keyword.</returns>
    /// <exception cref="InvalidDataException">The data is no PNG file, truncated or damaged.</exception>
    public static IReadOnlyDictionary<string, string> ReadPngText(ReadOnlySpan<byte> encoded) => PngText.Read(encoded, "The data");

    /// <summary>Reads what an image was generated with: the text <c>parameters</c> of a PNG file, the EXIF <c>UserComment</c> of a JPEG or
    /// WebP file, as this library and other tools for diffusion models write them.</summary>
    /// <param name="path">The file. Its pixels are not decoded.</param>
    /// <returns>The text; null where the file has none.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or no regular file.</exception>
    public static string? ReadParameters(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return ImageMarks.ReadParameters(ReadFile(path));
    }

    /// <summary>Reads what an image in memory was generated with.</summary>
    /// <param name="encoded">The whole file: PNG, JPEG or WebP.</param>
    /// <returns>The text; null where the file has none.</returns>
    public static string? ReadParameters(ReadOnlySpan<byte> encoded) => ImageMarks.ReadParameters(encoded);

    private static RgbImage Read(byte[] encoded, string source, long maxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        var (width, height, rgba) = ImageReader.Read(encoded, source, maxPixels);
        var (overWhite, transparent) = ImageReader.Split(rgba);
        return new RgbImage(width, height, overWhite, transparent, ImageMarks.Read(encoded));
    }

    private static RgbImage? ReadAlpha(byte[] encoded, string source, long maxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        var (width, height, rgba) = ImageReader.Read(encoded, source, maxPixels);
        var (mask, opaque) = (new byte[width * height * 3], true);
        for (int from = 3, to = 0; from < rgba.Length; from += 4, to += 3)
        {
            mask.AsSpan(to, 3).Fill(rgba[from]);
            opaque &= rgba[from] == byte.MaxValue;
        }

        return opaque ? null : new RgbImage(width, height, mask);
    }

    private static byte[] ReadFile(string path)
    {
        // Pipes and devices have no length, and reading them may never end.
        long length;
        try
        {
            length = RegularFile.LengthOf(path);
        }
        catch (IOException exception)
        {
            throw new FileNotFoundException(
                Directory.Exists(path) ? $"'{path}' is a folder; expected an image." : $"There is no image '{path}'.", path, exception);
        }

        return length is > 0 and <= int.MaxValue
            ? File.ReadAllBytes(path)
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                $"'{path}' is not an image that can be read: it has {length:N0} bytes."));
    }
}
