using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Images as data URIs, small enough that a whole evaluation fits into one page.</summary>
internal static class WebImages
{
    private const int Side = 256;

    public static string Of(string path)
    {
        var image = RgbImage.Load(path);
        var scale = Math.Min(1, Side / (double)Math.Max(image.Width, image.Height));
        using var bitmap = image.Resize((int)(image.Width * scale), (int)(image.Height * scale)).ToBitmap();
        return Uri(bitmap, SKEncodedImageFormat.Webp);
    }

    /// <summary>A mask to lay over its image: a pixel a cell, clear where the subject is.</summary>
    public static string Of(SubjectRegion region)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(region.Width, region.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        var pixels = bitmap.GetPixelSpan();
        for (var i = 0; i < region.Cells.Length; i++)
        {
            pixels[(4 * i) + 3] = region.Cells[i] ? (byte)0 : (byte)170;
        }

        return Uri(bitmap, SKEncodedImageFormat.Png);
    }

    private static string Uri(SKBitmap bitmap, SKEncodedImageFormat format)
    {
        using var data = bitmap.Encode(format, quality: 85);
        return $"data:image/{format.ToString().ToLowerInvariant()};base64,{Convert.ToBase64String(data.AsSpan())}";
    }
}
