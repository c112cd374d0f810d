using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Regions on other grids than their own.</summary>
internal static class RegionPixels
{
    /// <summary>Returns a value indicating whether each pixel of an image, row by row, lies in the region.</summary>
    public static bool[] ToPixels(this SubjectRegion region, RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(region);
        var pixels = new bool[image.Width * image.Height];
        for (var i = 0; i < pixels.Length; i++)
        {
            var (y, x) = Math.DivRem(i, image.Width);
            pixels[i] = region.Cells[(y * region.Height / image.Height * region.Width) + (x * region.Width / image.Width)];
        }

        return pixels;
    }

    /// <summary>Returns the share of each cell of another grid, row by row, that the region covers.</summary>
    public static double[] Coverage(this SubjectRegion region, int width, int height)
    {
        var cover = new double[width * height];
        for (var i = 0; i < region.Cells.Length; i++)
        {
            if (!region.Cells[i])
            {
                continue;
            }

            var (row, column) = Math.DivRem(i, region.Width);
            for (var y = row * height / region.Height; y * region.Height < (row + 1) * height; y++)
            {
                for (var x = column * width / region.Width; x * region.Width < (column + 1) * width; x++)
                {
                    cover[(y * width) + x] += Overlap(row, region.Height, y, height) * Overlap(column, region.Width, x, width);
                }
            }
        }

        return cover;
    }

    /// <summary>The share of target cell j of m that source cell i of n covers.</summary>
    private static double Overlap(int i, int n, int j, int m) =>
        Math.Max(0, Math.Min((i + 1) * m, (j + 1) * n) - Math.Max(i * m, j * n)) / (double)n;
}
