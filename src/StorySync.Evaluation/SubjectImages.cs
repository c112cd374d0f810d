using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Provides images of a subject without its surroundings, for measures of the subject only.</summary>
public static class SubjectImages
{
    private const byte Gray = 128;

    /// <summary>Cuts out the square around a subject: as long as the longer side of the box around the region, with the box in its middle,
    /// moved into the image; where the image is too small for it, gray fills up.</summary>
    /// <param name="image">The image.</param>
    /// <param name="region">The subject's region, not empty.</param>
    /// <exception cref="ArgumentException">The region is empty.</exception>
    public static RgbImage Crop(RgbImage image, SubjectRegion region)
    {
        ArgumentNullException.ThrowIfNull(image);
        var inside = region.ToPixels(image);
        var taken = Enumerable.Range(0, inside.Length).Where(i => inside[i]).Select(i =>
            (X: i % image.Width, Y: i / image.Width)).ToArray();
        if (taken.Length == 0)
        {
            throw new ArgumentException("The region is empty: there is nothing to cut out.", nameof(region));
        }

        var (left, right) = (taken.Min(p => p.X), taken.Max(p => p.X) + 1);
        var (top, bottom) = (taken[0].Y, taken[^1].Y + 1);
        var side = Math.Max(right - left, bottom - top);
        return Cut(image, Begin(left, right, side, image.Width), Begin(top, bottom, side, image.Height), side);
    }

    /// <summary>Removes the background: what is outside the region becomes gray (128).</summary>
    /// <param name="image">The image.</param>
    /// <param name="region">The subject's region.</param>
    public static RgbImage WithoutBackground(RgbImage image, SubjectRegion region) =>
        WithBackground(image, region, background => background.Fill(Gray));

    /// <summary>Replaces the background by uniform noise, so that it says nothing, as ConsiStory does before it measures
    /// (arXiv 2402.03286, section 5).</summary>
    /// <param name="image">The image.</param>
    /// <param name="region">The subject's region.</param>
    /// <param name="seed">The noise's seed.</param>
    public static RgbImage OnNoise(RgbImage image, SubjectRegion region, int seed = 0) =>
        WithBackground(image, region, new Random(seed).NextBytes);

    private delegate void Painter(Span<byte> background);

    private static RgbImage WithBackground(RgbImage image, SubjectRegion region, Painter paint)
    {
        ArgumentNullException.ThrowIfNull(image);
        var inside = region.ToPixels(image);
        var pixels = new byte[image.Pixels.Length];
        paint(pixels);
        for (var i = 0; i < inside.Length; i++)
        {
            if (inside[i])
            {
                image.Pixels.Slice(3 * i, 3).CopyTo(pixels.AsSpan(3 * i));
            }
        }

        return new RgbImage(image.Width, image.Height, pixels);
    }

    private static int Begin(int from, int to, int side, int length)
    {
        var centred = (from + to - side) >> 1;
        return side <= length ? Math.Clamp(centred, 0, length - side) : (length - side) >> 1;
    }

    private static RgbImage Cut(RgbImage image, int left, int top, int side)
    {
        var pixels = new byte[side * side * 3];
        Array.Fill(pixels, Gray);
        var (first, last) = (Math.Max(left, 0), Math.Min(left + side, image.Width));
        for (var y = Math.Max(top, 0); y < Math.Min(top + side, image.Height); y++)
        {
            image.Pixels.Slice(((y * image.Width) + first) * 3, (last - first) * 3)
                .CopyTo(pixels.AsSpan((((y - top) * side) + first - left) * 3));
        }

        return new RgbImage(side, side, pixels);
    }
}
