using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Degrades regions in defined ways, to measure how much a method depends on accurate masks.</summary>
public static class MaskDegradation
{
    /// <summary>Takes away every cell that has a background cell, or the border, within <paramref name="cells"/> cells to a side or across
    /// a corner.</summary>
    /// <param name="region">A region.</param>
    /// <param name="cells">How many cells, at least 0.</param>
    public static SubjectRegion Erode(SubjectRegion region, int cells) =>
        Map(region, (x, y) => Near(region, x, y, cells).All(cell => cell));

    /// <summary>Adds every cell that has one of the region within <paramref name="cells"/> cells to a side or across a corner.</summary>
    /// <param name="region">A region.</param>
    /// <param name="cells">How many cells, at least 0.</param>
    public static SubjectRegion Dilate(SubjectRegion region, int cells) =>
        Map(region, (x, y) => Near(region, x, y, cells).Any(cell => cell));

    /// <summary>Moves a region; what leaves the image is lost.</summary>
    /// <param name="region">A region.</param>
    /// <param name="right">Cells to the right.</param>
    /// <param name="down">Cells downwards.</param>
    public static SubjectRegion Shift(SubjectRegion region, int right, int down) => Map(region, (x, y) => At(region, x - right, y - down));

    /// <summary>Turns each cell over with a probability.</summary>
    /// <param name="region">A region.</param>
    /// <param name="probability">The probability, 0 … 1.</param>
    /// <param name="seed">The same seed turns the same cells.</param>
    public static SubjectRegion Speckle(SubjectRegion region, double probability, int seed = 0)
    {
        var random = new Random(seed);
        return Map(region, (x, y) => At(region, x, y) ^ (random.NextDouble() < probability));
    }

    /// <summary>Exchanges a region for another of its form: moved by half the image both ways, around the border.</summary>
    /// <param name="region">A region.</param>
    public static SubjectRegion Swap(SubjectRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        return Map(region, (x, y) => At(region, (x + (region.Width / 2)) % region.Width, (y + (region.Height / 2)) % region.Height));
    }

    /// <summary>Empties a region.</summary>
    /// <param name="region">A region.</param>
    public static SubjectRegion Drop(SubjectRegion region) => Map(region, (_, _) => false);

    private static SubjectRegion Map(SubjectRegion region, Func<int, int, bool> cell)
    {
        ArgumentNullException.ThrowIfNull(region);
        return new SubjectRegion(region.Width, region.Height,
            [.. Enumerable.Range(0, region.Width * region.Height).Select(i => cell(i % region.Width, i / region.Width))]);
    }

    private static bool At(SubjectRegion region, int x, int y) =>
        x >= 0 && y >= 0 && x < region.Width && y < region.Height && region.Cells[(y * region.Width) + x];

    private static IEnumerable<bool> Near(SubjectRegion region, int x, int y, int cells)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(cells);
        return from v in Enumerable.Range(y - cells, (2 * cells) + 1)
               from u in Enumerable.Range(x - cells, (2 * cells) + 1)
               select At(region, u, v);
    }
}
