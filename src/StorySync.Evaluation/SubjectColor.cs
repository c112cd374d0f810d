using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Provides measures of how much a subject's color changes between images.</summary>
/// <remarks>A measure of this project for prompts that leave the color open: it needs no model, and a wrong color is what an eye sees
/// first.</remarks>
public static class SubjectColor
{
    /// <summary>Returns the mean red, green and blue of a region, 0 … 255.</summary>
    /// <param name="image">The image.</param>
    /// <param name="region">The region, not empty.</param>
    /// <exception cref="ArgumentException">The region is empty.</exception>
    public static (double Red, double Green, double Blue) Mean(RgbImage image, SubjectRegion region)
    {
        ArgumentNullException.ThrowIfNull(image);
        var inside = region.ToPixels(image);
        var (red, green, blue, count) = (0L, 0L, 0L, 0L);
        for (var i = 0; i < inside.Length; i++)
        {
            if (inside[i])
            {
                red += image.Pixels[3 * i];
                green += image.Pixels[(3 * i) + 1];
                blue += image.Pixels[(3 * i) + 2];
                count++;
            }
        }

        return count > 0
            ? ((double)red / count, (double)green / count, (double)blue / count)
            : throw new ArgumentException("The region is empty: it has no color.", nameof(region));
    }

    /// <summary>Returns the mean Euclidean distance over all pairs of mean colors, 0 … 441.7, lower is more consistent: <c>2 / (n (n − 1))
    /// Σ_{i&lt;j} |c_i − c_j|</c>.</summary>
    /// <param name="colors">The mean colors, at least two.</param>
    /// <exception cref="ArgumentException">There are fewer than two.</exception>
    public static double Distance(IReadOnlyList<(double Red, double Green, double Blue)> colors) => Pairs.Mean(colors, Apart);

    /// <summary>Returns the mean Euclidean distance of each mean color of some images from each of others, 0 … 441.7, lower is more
    /// consistent.</summary>
    /// <param name="first">The mean colors, at least one.</param>
    /// <param name="second">Those of the others, at least one.</param>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static double Between(
        IReadOnlyList<(double Red, double Green, double Blue)> first, IReadOnlyList<(double Red, double Green, double Blue)> second) =>
        Pairs.Mean(first, second, Apart);

    private static double Apart((double Red, double Green, double Blue) a, (double Red, double Green, double Blue) b) =>
        Math.Sqrt(Math.Pow(a.Red - b.Red, 2) + Math.Pow(a.Green - b.Green, 2) + Math.Pow(a.Blue - b.Blue, 2));
}
