using System.Globalization;
using System.Text.Json.Serialization;
using SkiaSharp;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents an image of 8-bit RGB pixels, row by row.</summary>
/// <remarks>
/// Images are read as diffusers' <c>load_image</c> reads them: the EXIF or XMP orientation is applied, of an animation the first frame is
/// taken, palettes, grayscale, 16-bit values (their upper 8 bits, rounded) and CMYK become 8-bit RGB, and color profiles are ignored.
/// Other than there, transparent pixels are laid over white; where the image serves as a mask, their colors count as they are stored, as
/// in diffusers: those of the palette, in GIF and PNG files that have one.
/// </remarks>
[JsonConverter(typeof(RgbImageJsonConverter))]
public sealed class RgbImage
{
    /// <summary>The largest number of pixels that is decoded unless a caller gives another: 178,956,970, as in Pillow.</summary>
    public const long DefaultMaxPixels = 178_956_970;

    private readonly byte[] pixels;
    private readonly TransparentPixels? transparent;

    /// <summary>Initializes a new instance of the <see cref="RgbImage"/> class.</summary>
    /// <param name="width">The number of columns, at least 1.</param>
    /// <param name="height">The number of rows, at least 1.</param>
    /// <param name="pixels">Red, green and blue of every pixel, <c>width × height × 3</c> bytes; not copied.</param>
    /// <exception cref="ArgumentException">The number of bytes does not fit the size.</exception>
    public RgbImage(int width, int height, byte[] pixels)
        : this(width, height, pixels, null)
    {
    }

    /// <param name="width">The number of columns.</param>
    /// <param name="height">The number of rows.</param>
    /// <param name="pixels">The pixels over white.</param>
    /// <param name="transparent">The colors without regard to transparency, and that; null where all pixels are opaque.</param>
    /// <param name="provenance">What the image says of its origin; null for nothing.</param>
    private RgbImage(int width, int height, byte[] pixels, TransparentPixels? transparent, ImageProvenance? provenance = null)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (pixels.Length != (long)width * height * 3)
        {
            throw new ArgumentException($"A {width}×{height} image has {(long)width * height * 3} bytes, not {pixels.Length}.",
                nameof(pixels));
        }

        (Width, Height, this.pixels, this.transparent, Provenance) = (width, height, pixels, transparent, provenance);
    }

    /// <summary>Gets the number of columns.</summary>
    public int Width { get; }

    /// <summary>Gets the number of rows.</summary>
    public int Height { get; }

    /// <summary>Gets what the image says of its origin in the files that are written of it: what it was generated with, for an image that
    /// a pipeline drew (<see cref="PipelineOptions.MarksImages"/>) or that was read from a file that says so; null for nothing.</summary>
    public ImageProvenance? Provenance { get; }

    /// <summary>Gets red, green and blue of every pixel, row by row.</summary>
    public ReadOnlySpan<byte> Pixels => pixels;

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
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        var (width, height, rgba) = ImageReader.Read(ReadFile(path), $"'{path}'", maxPixels);
        var (mask, opaque) = (new byte[width * height * 3], true);
        for (int from = 3, to = 0; from < rgba.Length; from += 4, to += 3)
        {
            mask.AsSpan(to, 3).Fill(rgba[from]);
            opaque &= rgba[from] == byte.MaxValue;
        }

        return opaque ? null : new RgbImage(width, height, mask);
    }

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

    /// <summary>Takes the pixels of a SkiaSharp bitmap.</summary>
    /// <param name="bitmap">The bitmap.</param>
    public static RgbImage FromBitmap(SKBitmap bitmap)
    {
        ArgumentNullException.ThrowIfNull(bitmap);
        using var copy = new SKBitmap(new SKImageInfo(
            bitmap.Width, bitmap.Height, SKColorType.Rgba8888, bitmap.AlphaType == SKAlphaType.Opaque ? SKAlphaType.Opaque
                : SKAlphaType.Unpremul));
        using (var map = bitmap.PeekPixels())
        {
            if (map is null || !map.ReadPixels(copy.Info, copy.GetPixels(), copy.RowBytes))
            {
                throw new ArgumentException("The bitmap has no pixels that can be read.", nameof(bitmap));
            }
        }

        var (overWhite, transparent) = ImageReader.Split(copy.GetPixelSpan());
        return new RgbImage(bitmap.Width, bitmap.Height, overWhite, transparent);
    }

    /// <summary>Returns the same image with another provenance.</summary>
    /// <param name="provenance">What files of it are to say of its origin; null for nothing.</param>
    public RgbImage WithProvenance(ImageProvenance? provenance) => new(Width, Height, pixels, transparent, provenance);

    /// <summary>Creates a SkiaSharp bitmap of the same pixels, to draw on.</summary>
    public SKBitmap ToBitmap()
    {
        var bitmap = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var target = bitmap.GetPixelSpan();
        for (int from = 0, to = 0; from < pixels.Length; from += 3, to += 4)
        {
            pixels.AsSpan(from, 3).CopyTo(target[to..]);
            target[to + 3] = byte.MaxValue;
        }

        return bitmap;
    }

    /// <summary>Returns the image in another size, resampled by Pillow's Lanczos filter, as diffusers does; the same instance where it has
    /// the size already.</summary>
    /// <param name="width">The number of columns, at least 1.</param>
    /// <param name="height">The number of rows, at least 1.</param>
    public RgbImage Resize(int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (width == Width && height == Height)
        {
            return this;
        }

        var other = transparent is null ? null : new TransparentPixels(Resized(transparent.Colors), ResizedAlpha(transparent.Alpha));
        return new RgbImage(width, height, Resized(pixels), other, Provenance);

        byte[] Resized(byte[] source) => PillowResampler.Lanczos.Resize(source, Height, Width, height, width);

        byte[] ResizedAlpha(byte[] alpha)
        {
            var gray = new byte[alpha.Length * 3];
            for (var i = 0; i < gray.Length; i++)
            {
                gray[i] = alpha[i / 3];
            }

            gray = Resized(gray);
            return [.. Enumerable.Range(0, width * height).Select(i => gray[3 * i])];
        }
    }

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

    /// <summary>Creates images from a tensor, rounded to 8 bits as diffusers does.</summary>
    /// <param name="images">(batch, 3, height, width) in [0, 1]; values beyond are clamped.</param>
    public static IReadOnlyList<RgbImage> FromTensor(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        using var scope = NewDisposeScope();
        return [.. images.unbind(0).Select(FromImage)];
    }

    /// <summary>Returns the image as a tensor, (1, 3, height, width), float32 in [−1, 1], as autoencoders take it.</summary>
    public Tensor ToTensor()
    {
        using var scope = NewDisposeScope();
        var bytes = tensor(pixels, [1, Height, Width, 3], dtype: uint8);
        return bytes.permute(0, 3, 1, 2).to(float32).Over(255).Times(2).Minus(1).MoveToOuterDisposeScope();
    }

    /// <summary>Returns the image with the colors of transparent pixels as they are stored, as masks are read.</summary>
    internal RgbImage WithoutAlpha() => transparent is null ? this : new(Width, Height, transparent.Colors, null, Provenance);

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

    /// <summary>Returns the luma of every pixel, as Pillow computes it (ITU-R 601-2): 0.299 R + 0.587 G + 0.114 B.</summary>
    internal byte[] ToLuma()
    {
        var luma = new byte[Width * Height];
        for (var i = 0; i < luma.Length; i++)
        {
            luma[i] = (byte)(((pixels[3 * i] * 19595) + (pixels[(3 * i) + 1] * 38470) + (pixels[(3 * i) + 2] * 7471) + 0x8000) >> 16);
        }

        return luma;
    }

    /// <summary>Returns a bool tensor, (height, width): true where the image is white, that is, its luma is at least one half.</summary>
    internal Tensor ToMask()
    {
        using var scope = NewDisposeScope();
        return tensor(ToLuma(), [Height, Width], dtype: uint8).GreaterThan(127).MoveToOuterDisposeScope();
    }

    /// <summary>Returns whether the image, taken as a mask, is white anywhere.</summary>
    internal bool HasWhite() => WithoutAlpha().ToLuma().AsSpan().ContainsAnyInRange((byte)128, byte.MaxValue);

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

    private static RgbImage FromImage(Tensor image)
    {
        using var scope = NewDisposeScope();
        var bytes = image.to(float32).permute(1, 2, 0).Clamp(0, 1).Times(255).round().to(uint8).contiguous().cpu();
        return new RgbImage((int)image.shape[2], (int)image.shape[1], bytes.data<byte>().ToArray());
    }

    private static RgbImage Read(byte[] encoded, string source, long maxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        var (width, height, rgba) = ImageReader.Read(encoded, source, maxPixels);
        var (overWhite, transparent) = ImageReader.Split(rgba);
        return new RgbImage(width, height, overWhite, transparent, ImageMarks.Read(encoded));
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

    private static void WriteFile(string path, byte[] encoded)
    {
        ArgumentNullException.ThrowIfNull(path);
        var full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        AtomicFile.Write(full, stream => stream.Write(encoded));
    }
}
