using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using SkiaSharp;

namespace StorySync.Pipelines;

/// <summary>Decodes image files: the header is checked before any pixel is decoded.</summary>
internal static class ImageReader
{
    private const int Channels = 3;

    /// <summary>Decodes an image and turns it upright, as the EXIF orientation says.</summary>
    /// <param name="encoded">The whole file.</param>
    /// <param name="source">The file as messages name it.</param>
    /// <param name="maxPixels">The largest number of pixels that is decoded.</param>
    /// <returns>The size, and red, green, blue and alpha of every pixel, not multiplied.</returns>
    /// <exception cref="InvalidDataException">It is not an image, too large, truncated or damaged.</exception>
    public static (int Width, int Height, byte[] Rgba) Read(byte[] encoded, string source, long maxPixels)
    {
        var pin = GCHandle.Alloc(encoded, GCHandleType.Pinned);
        try
        {
            using var data = SKData.Create(pin.AddrOfPinnedObject(), encoded.Length);
            using var codec = SKCodec.Create(data)
                ?? throw new InvalidDataException(
                    $"{source} is not an image that can be read, or is truncated in its header: expected PNG, JPEG, WebP, GIF or BMP.");
            var (width, height) = (codec.Info.Width, codec.Info.Height);
            ThrowIfTooLarge(source, width, height, maxPixels);
            if (codec.EncodedFormat switch
            {
                SKEncodedImageFormat.Jpeg => !JpegEnd.IsThere(encoded),
                SKEncodedImageFormat.Png => !PngEnd.IsThere(encoded),

                // The length that the header announces: what lies after the pixels says how they are turned.
                SKEncodedImageFormat.Webp => BinaryPrimitives.ReadUInt32LittleEndian(encoded.AsSpan(4)) > encoded.Length - 8L,
                _ => false,
            })
            {
                throw Truncated(source, codec.Info);
            }

            var rgba = Decode(codec, source);
            if (codec.EncodedFormat == SKEncodedImageFormat.Gif && !codec.Info.IsOpaque
                && GifColors.WithoutTransparency(encoded) is var (opaque, uncovered))
            {
                Recolor(rgba, opaque, uncovered, source);
            }

            var origin = ImageOrientation.Read(encoded, codec.EncodedFormat);
            var upright = Upright(rgba, width, height, origin);
            var turned = origin >= SKEncodedOrigin.LeftTop;
            return (turned ? height : width, turned ? width : height, upright);
        }
        finally
        {
            pin.Free();
        }
    }

    /// <summary>Separates colors and transparency.</summary>
    /// <param name="rgba">Red, green, blue and alpha of every pixel, not multiplied.</param>
    /// <returns>The pixels over white, and, where some are transparent, the colors without regard to it and the alpha of every
    /// pixel.</returns>
    public static (byte[] OverWhite, TransparentPixels? Transparent) Split(ReadOnlySpan<byte> rgba)
    {
        var pixels = MemoryMarshal.Cast<byte, uint>(rgba);
        var colors = new byte[pixels.Length * Channels];
        var common = uint.MaxValue;
        for (int i = 0, to = 0; i < pixels.Length; i++, to += Channels)
        {
            var pixel = pixels[i];
            common &= pixel;
            (colors[to], colors[to + 1], colors[to + 2]) = ((byte)pixel, (byte)(pixel >> 8), (byte)(pixel >> 16));
        }

        if (common >> 24 == byte.MaxValue)
        {
            return (colors, null);
        }

        var alpha = new byte[pixels.Length];
        for (var i = 0; i < alpha.Length; i++)
        {
            alpha[i] = (byte)(pixels[i] >> 24);
        }

        return (OverWhite(pixels, colors), new TransparentPixels(colors, alpha));
    }

    private static byte[] OverWhite(ReadOnlySpan<uint> pixels, byte[] colors)
    {
        var result = colors.AsSpan().ToArray();
        for (var i = 0; i < pixels.Length; i++)
        {
            var alpha = pixels[i] >> 24;
            if (alpha == byte.MaxValue)
            {
                continue;
            }

            var pixel = result.AsSpan(i * Channels, Channels);
            if (alpha == 0)
            {
                pixel.Fill(byte.MaxValue);
                continue;
            }

            foreach (ref var value in pixel)
            {
                value = (byte)(((value * alpha) + (byte.MaxValue * (byte.MaxValue - alpha)) + (byte.MaxValue / 2)) / byte.MaxValue);
            }
        }

        return result;
    }

    private static void ThrowIfTooLarge(string source, int width, int height, long maxPixels)
    {
        var limit = Math.Min(maxPixels, Array.MaxLength / 4);
        if ((long)width * height > limit)
        {
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                $"{source} is {width} × {height}, {(long)width * height:N0} pixels; the largest image that is read has {limit:N0}. ")
                + "Make it smaller, or raise maxPixels if you trust the file.");
        }
    }

    private static InvalidDataException Truncated(string source, SKImageInfo info) =>
        new($"{source} is truncated: its {info.Width} × {info.Height} pixels are not all there. Get the whole file.");

    private static byte[] Decode(SKCodec codec, string source)
    {
        // No color space on either side: like Pillow, the values are taken as they are stored.
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888,
            codec.Info.IsOpaque ? SKAlphaType.Opaque : SKAlphaType.Unpremul, codec.Info.ColorSpace);
        var rgba = new byte[info.BytesSize];
        var pin = GCHandle.Alloc(rgba, GCHandleType.Pinned);
        try
        {
            return codec.GetPixels(info, pin.AddrOfPinnedObject()) switch
            {
                SKCodecResult.Success => rgba,
                SKCodecResult.IncompleteInput => throw Truncated(source, info),
                SKCodecResult.ErrorInInput or SKCodecResult.InvalidInput => throw new InvalidDataException(
                    $"{source} is damaged: its pixels cannot be decoded. Get the file again."),
                var result =>
                    throw new InvalidDataException($"{source} is of a kind that cannot be decoded ({result}): save it as PNG or JPEG."),
            };
        }
        finally
        {
            pin.Free();
        }
    }

    /// <summary>Gives the transparent pixels of a GIF the colors that its palette has for them.</summary>
    private static void Recolor(byte[] rgba, byte[] opaque, uint uncovered, string source)
    {
        using var data = SKData.CreateCopy(opaque);
        using var codec = SKCodec.Create(data);
        var pixels = MemoryMarshal.Cast<byte, uint>(rgba.AsSpan());
        var colors = MemoryMarshal.Cast<byte, uint>(Decode(codec, source).AsSpan());
        for (var i = 0; i < pixels.Length; i++)
        {
            if (pixels[i] >> 24 == 0)
            {
                pixels[i] = colors[i] >> 24 == 0 ? uncovered : colors[i] & 0xFFFFFF;
            }
        }
    }

    private static byte[] Upright(byte[] rgba, int width, int height, SKEncodedOrigin origin)
    {
        if (origin is SKEncodedOrigin.TopLeft or SKEncodedOrigin.Default)
        {
            return rgba;
        }

        // Where the pixel (x, y) of the upright image is in the stored one.
        Func<int, int, (int X, int Y)> stored = origin switch
        {
            SKEncodedOrigin.TopRight => (x, y) => (width - 1 - x, y),
            SKEncodedOrigin.BottomRight => (x, y) => (width - 1 - x, height - 1 - y),
            SKEncodedOrigin.BottomLeft => (x, y) => (x, height - 1 - y),
            SKEncodedOrigin.LeftTop => (x, y) => (y, x),
            SKEncodedOrigin.RightTop => (x, y) => (y, height - 1 - x),
            SKEncodedOrigin.RightBottom => (x, y) => (width - 1 - y, height - 1 - x),
            _ => (x, y) => (width - 1 - y, x),
        };
        var (newWidth, newHeight) = origin >= SKEncodedOrigin.LeftTop ? (height, width) : (width, height);
        var from = MemoryMarshal.Cast<byte, uint>(rgba.AsSpan());
        var result = new byte[rgba.Length];
        var to = MemoryMarshal.Cast<byte, uint>(result.AsSpan());
        for (int y = 0, i = 0; y < newHeight; y++)
        {
            for (var x = 0; x < newWidth; x++, i++)
            {
                var (storedX, storedY) = stored(x, y);
                to[i] = from[(storedY * width) + storedX];
            }
        }

        return result;
    }
}
