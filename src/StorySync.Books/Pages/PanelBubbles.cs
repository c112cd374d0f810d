using System.Text.RegularExpressions;
using SkiaSharp;

namespace StorySync.Books;

/// <summary>The speech bubbles of one image on a page.</summary>
/// <param name="text">Sets the text.</param>
/// <param name="rightToLeft">Whether bubbles are read from the right.</param>
internal sealed partial class PanelBubbles(TextSetter text, bool rightToLeft)
{
    /// <summary>The share of a region's height that passes for the face.</summary>
    private const float FaceShare = 0.55f;

    private const float LeastSize = 5.5f;

    /// <summary>Smaller letters are tried where larger ones have no free place.</summary>
    private static readonly float[] Scales = [1, 0.88f, 0.76f, 0.66f];

    /// <summary>The widths of a bubble's text that are tried, in shares of the image's.</summary>
    private static readonly float[] Widths = [0.36f, 0.26f, 0.5f, 0.7f];

    /// <summary>Places the bubbles of an image.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="image">Where the image is.</param>
    /// <param name="area">Where bubbles can be.</param>
    /// <param name="size">The size of the letters.</param>
    /// <param name="items">Receives the bubbles.</param>
    /// <returns>The lines that have no place.</returns>
    public IReadOnlyList<BookLine> Place(BookPanel panel, SKRect image, SKRect area, float size, List<PageItem> items)
    {
        if (panel.Dialogue.Count == 0)
        {
            return [];
        }

        SKRect[] faces = [.. panel.Figures.Select(figure => Face(figure, image))];
        var placer = new BubblePlacer(area, (x, y) => IsFigure(panel, image, area, x, y), faces, rightToLeft);
        SKPoint?[] mouths = [.. panel.Dialogue.Select(line => Mouth(panel, faces, line.Who))];
        for (var s = 0; ; s++)
        {
            var letters = Math.Max(size * Scales[s], Math.Min(size, LeastSize));
            TextBlock[][] texts = [.. panel.Dialogue.Select(line => Texts(line.Says, letters, area.Width))];
            var places = placer.Place([.. texts.Select((own, i) => new Bubble([.. own.Select(BoxOf)], mouths[i]))]);
            if (s == Scales.Length - 1 || places.All(place => place is { IsFree: true }))
            {
                for (var i = 0; i < places.Count; i++)
                {
                    if (places[i] is { } place)
                    {
                        Add(items, place, texts[i][place.Size], mouths[i], faces, Math.Min(area.Width, area.Height) * 0.2f);
                    }
                }

                return [.. panel.Dialogue.Where((_, i) => places[i] is null)];
            }
        }
    }

    /// <summary>The box of a bubble with room round its text.</summary>
    private static SKSize BoxOf(TextBlock text) => new(text.Width + (text.Size * 1.7f), text.Height + (text.Size * 0.9f));

    /// <summary>A text in several widths, without those that look alike.</summary>
    private TextBlock[] Texts(string says, float size, float width) =>
        [.. Widths.Select(share => text.Set(says, size, width * share)).DistinctBy(own => (own.Lines.Count, own.Width))];

    private static void Add(
        List<PageItem> items, PlacedBubble place, TextBlock text, SKPoint? mouth, SKRect[] faces, float longest)
    {
        using var outline = BubbleShape.Create(
            place.Box, mouth, point => faces.Any(face => face.Contains(point)), longest);
        items.Add(new BubbleItem(Number().Replace(outline.ToSvgPathData(), "$1"), Math.Max(0.5f, text.Size * 0.08f)));
        items.Add(new TextItem(text, place.Box.MidX, place.Box.MidY - (text.Height / 2)));
    }

    // A hundredth of a point is fine enough.
    [GeneratedRegex(@"(\d\.\d\d)\d+")]
    private static partial Regex Number();

    /// <summary>Whether a cell of the placer's grid touches a figure.</summary>
    private static bool IsFigure(BookPanel panel, SKRect image, SKRect area, int x, int y)
    {
        // The cell in shares of the image.
        var (cellWidth, cellHeight) = (area.Width / BubblePlacer.Cells, area.Height / BubblePlacer.Cells);
        var left = (area.Left + (x * cellWidth) - image.Left) / image.Width;
        var top = (area.Top + (y * cellHeight) - image.Top) / image.Height;
        var (right, bottom) = (left + (cellWidth / image.Width), top + (cellHeight / image.Height));
        return panel.Figures.Any(figure =>
        {
            var (columns, rows) = (figure.Region.Width, figure.Region.Height);
            const float Slack = 1e-4f;
            for (var row = Math.Max(0, (int)((top + Slack) * rows)); row < Math.Min(rows, (bottom - Slack) * rows); row++)
            {
                for (var column = Math.Max(0, (int)((left + Slack) * columns)); column < Math.Min(columns, (right - Slack) * columns);
                    column++)
                {
                    if (figure.Region.Cells[(row * columns) + column])
                    {
                        return true;
                    }
                }
            }

            return false;
        });
    }

    private static SKPoint? Mouth(BookPanel panel, SKRect[] faces, string who)
    {
        for (var i = 0; i < faces.Length; i++)
        {
            if (panel.Figures[i].Names.Contains(who, StringComparer.OrdinalIgnoreCase))
            {
                return new SKPoint(faces[i].MidX, faces[i].Top + (faces[i].Height * 0.75f));
            }
        }

        return null;
    }

    /// <summary>Where a figure's face is on the page.</summary>
    private static SKRect Face(BookFigure figure, SKRect image)
    {
        if (figure.Face is { } given)
        {
            return SKRect.Create(
                image.Left + ((float)given.Left * image.Width), image.Top + ((float)given.Top * image.Height),
                (float)given.Width * image.Width, (float)given.Height * image.Height);
        }

        var region = figure.Region;
        var cells = Enumerable.Range(0, region.Width * region.Height).Where(i => region.Cells[i])
            .Select(i => (X: i % region.Width, Y: i / region.Width)).ToList();
        if (cells.Count == 0)
        {
            return SKRect.Empty;
        }

        var (top, bottom) = (cells.Min(cell => cell.Y), cells.Max(cell => cell.Y) + 1);
        var end = top + (FaceShare * (bottom - top));
        var upper = cells.Where(cell => cell.Y < end).ToList();
        return new SKRect(
            image.Left + (upper.Min(cell => cell.X) * image.Width / region.Width), image.Top + (top * image.Height / region.Height),
            image.Left + ((upper.Max(cell => cell.X) + 1) * image.Width / region.Width), image.Top + (end * image.Height / region.Height));
    }
}
