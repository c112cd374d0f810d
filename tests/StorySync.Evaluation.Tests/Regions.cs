using StorySync.Pipelines;

namespace StorySync.Evaluation.Tests;

internal static class Regions
{
    /// <summary>A region drawn in characters, <c>#</c> for the subject.</summary>
    public static SubjectRegion Of(params string[] rows) =>
        new(rows[0].Length, rows.Length, [.. rows.SelectMany(row => row.Select(cell => cell == '#'))]);

    public static string[] Drawn(SubjectRegion region) =>
        [.. region.Cells.ToArray().Chunk(region.Width).Select(row => string.Concat(row.Select(cell => cell ? '#' : '.')))];
}

internal static class Images
{
    /// <summary>An image whose pixels have their place as red and green.</summary>
    public static RgbImage Numbered(int width, int height) =>
        new(width, height,
            [.. Enumerable.Range(0, width * height).SelectMany(i => new[] { (byte)(i % width), (byte)(i / width), (byte)7 })]);

    public static (byte Red, byte Green, byte Blue) At(RgbImage image, int x, int y)
    {
        var pixel = image.Pixels.Slice(((y * image.Width) + x) * 3, 3);
        return (pixel[0], pixel[1], pixel[2]);
    }
}
