using SkiaSharp;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A picture of 8-bit RGB pixels, row by row.</summary>
public sealed class RgbImage
{
    private readonly byte[] pixels;

    /// <summary>Makes a picture of given pixels.</summary>
    /// <param name="width">Pixels in a row, at least 1.</param>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="pixels">Red, green and blue of every pixel, <c>width × height × 3</c> bytes; not copied.</param>
    /// <exception cref="ArgumentException">The number of bytes does not fit the size.</exception>
    public RgbImage(int width, int height, byte[] pixels)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (pixels.Length != (long)width * height * 3)
        {
            throw new ArgumentException($"A {width}×{height} picture has {(long)width * height * 3} bytes, not {pixels.Length}.", nameof(pixels));
        }

        (Width, Height, this.pixels) = (width, height, pixels);
    }

    /// <summary>Pixels in a row.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>Red, green and blue of every pixel, row by row.</summary>
    public ReadOnlySpan<byte> Pixels => pixels;

    /// <summary>Reads a picture file (PNG, JPEG, WebP, …); transparency is laid over white.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is no picture that can be read.</exception>
    public static RgbImage Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no picture '{path}'.", path);
        }

        using var bitmap = SKBitmap.Decode(path) ?? throw new InvalidDataException($"'{path}' is no picture that can be read: expected PNG, JPEG, WebP, GIF or BMP.");
        return FromBitmap(bitmap);
    }

    /// <summary>Takes the pixels of a SkiaSharp bitmap; transparency is laid over white.</summary>
    /// <param name="bitmap">The bitmap.</param>
    public static RgbImage FromBitmap(SKBitmap bitmap)
    {
        ArgumentNullException.ThrowIfNull(bitmap);
        using var opaque = new SKBitmap(new SKImageInfo(bitmap.Width, bitmap.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using (var canvas = new SKCanvas(opaque))
        {
            canvas.Clear(SKColors.White);
            canvas.DrawBitmap(bitmap, 0, 0, SKSamplingOptions.Default);
        }

        var source = opaque.GetPixelSpan();
        var pixels = new byte[bitmap.Width * bitmap.Height * 3];
        for (int from = 0, to = 0; to < pixels.Length; from += 4, to += 3)
        {
            source.Slice(from, 3).CopyTo(pixels.AsSpan(to));
        }

        return new RgbImage(bitmap.Width, bitmap.Height, pixels);
    }

    /// <summary>A SkiaSharp bitmap of the same pixels, to draw on or to encode in another format.</summary>
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

    /// <summary>The picture in another size (cubic resampling); the same picture where it has the size already.</summary>
    /// <param name="width">Pixels, at least 1.</param>
    /// <param name="height">Pixels, at least 1.</param>
    public RgbImage Resize(int width, int height)
    {
        if (width == Width && height == Height)
        {
            return this;
        }

        using var bitmap = ToBitmap();
        using var resized = bitmap.Resize(new SKImageInfo(width, height), new SKSamplingOptions(SKCubicResampler.Mitchell));
        return FromBitmap(resized);
    }

    /// <summary>Writes the picture as PNG, whole or not at all.</summary>
    /// <param name="path">The file to write; its folder is made if need be.</param>
    /// <param name="text">Texts to embed by keyword, for example generation settings under <c>parameters</c>; keywords are 1–79 Latin-1
    /// characters.</param>
    public void SavePng(string path, IReadOnlyDictionary<string, string>? text = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var encoded = EncodePng(text);
        var full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        var temporary = $"{full}.{Guid.NewGuid():n}.tmp";
        try
        {
            File.WriteAllBytes(temporary, encoded);
            File.Move(temporary, full, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>The picture as a PNG file in memory.</summary>
    /// <param name="text">Texts to embed by keyword.</param>
    public byte[] EncodePng(IReadOnlyDictionary<string, string>? text = null)
    {
        using var bitmap = ToBitmap();
        using var data = bitmap.Encode(SKEncodedImageFormat.Png, quality: 100);
        return text is null ? data.ToArray() : PngText.Insert(data.AsSpan(), text);
    }

    /// <summary>Takes pictures out of a tensor, rounded to 8 bits as diffusers does.</summary>
    /// <param name="images">(batch, 3, height, width) in [0, 1]; what lies outside is cut off.</param>
    public static IReadOnlyList<RgbImage> FromTensor(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        using var scope = NewDisposeScope();
        return [.. images.unbind(0).Select(FromPicture)];
    }

    /// <summary>The picture as a tensor, (1, 3, height, width), float32 in [−1, 1], as autoencoders take it.</summary>
    public Tensor ToTensor()
    {
        using var scope = NewDisposeScope();
        var bytes = tensor(pixels, [1, Height, Width, 3], dtype: uint8);
        return ((bytes.permute(0, 3, 1, 2).to(float32) / 255 * 2) - 1).MoveToOuterDisposeScope();
    }

    private static RgbImage FromPicture(Tensor picture)
    {
        using var scope = NewDisposeScope();
        var bytes = (picture.to(float32).permute(1, 2, 0).clamp(0, 1) * 255).round().to(uint8).contiguous().cpu();
        return new RgbImage((int)picture.shape[2], (int)picture.shape[1], bytes.data<byte>().ToArray());
    }
}
