using System.Text.Json.Serialization;
using SkiaSharp;
using StorySync.Diffusion.TextEncoders;

namespace StorySync.Pipelines;

/// <summary>Represents an image of 8-bit RGB pixels, row by row.</summary>
/// <remarks>
/// Images are read as diffusers' <c>load_image</c> reads them: the EXIF or XMP orientation is applied, of an animation the first frame is
/// taken, palettes, grayscale, 16-bit values (their upper 8 bits, rounded) and CMYK become 8-bit RGB, and color profiles are ignored.
/// Other than there, transparent pixels are laid over white; where the image serves as a mask, their colors count as they are stored, as
/// in diffusers: those of the palette, in GIF and PNG files that have one.
/// </remarks>
[JsonConverter(typeof(RgbImageJsonConverter))]
public sealed partial class RgbImage
{
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
}
