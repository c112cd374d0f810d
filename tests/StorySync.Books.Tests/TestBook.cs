using StorySync.Pipelines;

namespace StorySync.Books.Tests;

/// <summary>A small book: plain images, each with a figure in the middle.</summary>
internal static class TestBook
{
    public const int Side = 48;

    /// <summary>Cells of a figure's region in each direction.</summary>
    public const int Cells = 12;

    public static StoryBook Of(int panels = 4) => new()
    {
        Title = "A day",
        Author = "Somebody",
        Panels = [.. Enumerable.Range(0, panels).Select(i => new BookPanel(Image(i))
        {
            Caption = $"Caption {i + 1} tells what happens.",
            Description = $"image {i + 1}",
            Dialogue = [new("a fox", $"Line {i + 1}!"), new("Mia", "And another one, which is longer.")],
            Figures = [new(["a fox", "Mia"], Region((x, y) => x is >= 4 and < 8 && y is >= 3 and < 11))],
        })],
    };

    public static RgbImage Image(int seed)
    {
        var pixels = new byte[Side * Side * 3];
        for (var i = 0; i < pixels.Length; i++)
        {
            pixels[i] = (byte)((i % 3 * 60) + (i / 3 % Side) + (seed * 20));
        }

        return new RgbImage(Side, Side, pixels);
    }

    public static SubjectRegion Region(Func<int, int, bool> isFigure) =>
        new(Cells, Cells, [.. Enumerable.Range(0, Cells * Cells).Select(i => isFigure(i % Cells, i / Cells))]);

    public static StoryBook With(this StoryBook book, Func<BookPanel, BookPanel> change) =>
        book with { Panels = [.. book.Panels.Select(change)] };
}
