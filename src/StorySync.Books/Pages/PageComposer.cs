using System.Globalization;
using SkiaSharp;

namespace StorySync.Books;

/// <summary>Lays out the pages of a book.</summary>
internal sealed class PageComposer
{
    /// <summary>Points in a millimeter.</summary>
    public const float Millimeter = 72 / 25.4f;

    private const float LeastCaption = 5;

    private readonly StoryBook book;
    private readonly BookOptions options;
    private readonly TextSetter text;
    private readonly PanelBubbles bubbles;
    private readonly bool rightToLeft;
    private readonly float width;
    private readonly float height;
    private readonly float bleed;

    /// <param name="book">The book.</param>
    /// <param name="options">How it looks.</param>
    /// <param name="fonts">The fonts; not owned.</param>
    /// <param name="bleed">How far images go on beyond a page's edge, in points.</param>
    public PageComposer(StoryBook book, BookOptions options, BookFonts fonts, float bleed)
    {
        (this.book, this.options, this.bleed) = (book, options, bleed);
        var trim = options.TrimOrDefault;
        (width, height) = ((float)trim.Width * Millimeter, (float)trim.Height * Millimeter);
        rightToLeft = book.IsRightToLeft(options);
        text = new TextSetter(fonts, rightToLeft);
        bubbles = new PanelBubbles(text, rightToLeft);
    }

    private float Margin => Math.Min(width, height) * 0.07f;

    /// <summary>Between images of a row.</summary>
    private float Gap => Margin * 0.6f;

    /// <summary>Lays out the book.</summary>
    /// <exception cref="ArgumentException">A caption has no room.</exception>
    public IReadOnlyList<Page> Compose() =>
    [
        .. book.Title.Length > 0 ? [TitlePage()] : Array.Empty<Page>(),
        .. options.Layout switch
        {
            BookLayout.Grid => Groups(4, 2),
            BookLayout.Strip => Groups(4, 4),
            BookLayout.Feature => Enumerable.Range(0, (book.Panels.Count + 3) / 4).Select(page => Feature(page * 4)),
            BookLayout.Webtoon => Enumerable.Range(0, book.Panels.Count).Select(Webtoon),
            BookLayout.Spread => Enumerable.Range(0, book.Panels.Count).SelectMany(Spread),
            _ => Enumerable.Range(0, book.Panels.Count).Select(Single),
        },
    ];

    private Page TitlePage()
    {
        var pageHeight = options.Layout == BookLayout.Webtoon ? width * 0.6f : height;
        var size = Math.Min(options.TextSize * 2.4, pageHeight / 5);
        var title = Fit("title", book.Title, (float)size, width - (4 * Margin), pageHeight * 0.6f);
        var items = new List<PageItem>();
        var author = book.Author is { Length: > 0 } name
            ? Fit("author", name, title.Size * 0.5f, width - (4 * Margin), pageHeight * 0.2f) : null;
        var top = (pageHeight - title.Height - (author is null ? 0 : author.Height + title.Size)) * 0.45f;
        items.Add(new TextItem(title, width / 2, top));
        if (author is not null)
        {
            items.Add(new TextItem(author, width / 2, top + title.Height + title.Size));
        }

        return new Page(width, pageHeight, items);
    }

    /// <summary>The image from edge to edge with the caption below; within margins where it would be too high.</summary>
    private Page Single(int panel)
    {
        var items = new List<PageItem>();
        var (full, ratio, size) = (new SKRect(-bleed, -bleed, width + bleed, 0), Ratio(panel), (float)options.TextSize * 1.15f);
        full.Bottom = full.Top + (full.Width * ratio);
        var caption = Caption(panel, size, width - (3 * Margin), height * 0.4f);
        var room = height - (caption is null ? 0 : caption.Height + (2 * Margin));
        if (full.Bottom <= room && caption is not null)
        {
            var left = AddImage(items, panel, full, full, new SKRect(0, 0, width, full.Bottom), hasBorder: false);
            if (Whole(panel, left, caption.Size, width - (3 * Margin), height - full.Bottom) is { } whole)
            {
                items.Add(new TextItem(whole, width / 2, full.Bottom + ((height - full.Bottom - whole.Height) * 0.45f)));
            }
        }
        else
        {
            // In the middle of the page, with its caption.
            var below = caption is null ? 0 : caption.Height + (caption.Size * 0.4f);
            var high = Math.Min((width - (2 * Margin)) * ratio, height - (2 * Margin) - below) + below;
            AddCell(
                items, panel, SKRect.Create(Margin, (height - high) * 0.45f, width - (2 * Margin), high), below, size, hasBorder: false);
        }

        return new Page(width, height, items);
    }

    private IEnumerable<Page> Groups(int perPage, int columns)
    {
        var cell = (width - (2 * Margin) - ((columns - 1) * Gap)) / columns;
        for (var first = 0; first < book.Panels.Count; first += perPage)
        {
            var panels = Enumerable.Range(first, Math.Min(perPage, book.Panels.Count - first)).ToArray();
            yield return InRows([.. panels.Chunk(columns)], [.. Enumerable.Repeat(cell, (panels.Length + columns - 1) / columns)]);
        }
    }

    /// <summary>A large image, and up to three in a row below.</summary>
    private Page Feature(int first)
    {
        int[] others = [.. Enumerable.Range(first + 1, Math.Min(3, book.Panels.Count - first - 1))];
        return others.Length == 0 ? InRows([[first]], [width - (2 * Margin)])
            : InRows([[first], others], [width - (2 * Margin), (width - (2 * Margin) - (2 * Gap)) / 3]);
    }

    /// <summary>Rows of images, as high as they have to be, in the middle of the page.</summary>
    /// <param name="rows">The panels of each row.</param>
    /// <param name="cells">The width of each row's images.</param>
    private Page InRows(int[][] rows, float[] cells)
    {
        // The rows that are wider give way where the page is too low.
        var room = height - (2 * Margin) - ((rows.Length - 1) * Margin);
        TextBlock?[][] captions = [.. rows.Select((row, r) => row.Select(panel =>
            Caption(panel, SmallText(cells[r]), cells[r], room / rows.Length * 0.6f)).ToArray())];
        float[] below = [.. captions.Select(row => row.Max(caption => caption is null ? 0 : caption.Height + (caption.Size * 0.4f)))];
        float[] natural = [.. rows.Select((row, r) => row.Max(panel => cells[r] * Ratio(panel)))];
        var isWide = cells.Select(cell => cell >= cells.Max()).ToArray();
        var (wide, narrow) = (natural.Where((_, r) => isWide[r]).Sum(), natural.Where((_, r) => !isWide[r]).Sum());
        var shrink = Math.Clamp((room - below.Sum() - narrow) / wide, 0.1f, 1);
        var heights = natural.Select((own, r) => isWide[r] ? own * shrink : own).ToArray();
        var items = new List<PageItem>();
        var top = Math.Max(Margin, (height - heights.Sum() - below.Sum() - ((rows.Length - 1) * Margin)) * 0.45f);
        for (var r = 0; r < rows.Length; r++)
        {
            foreach (var (column, panel) in rows[r].Index())
            {
                var cell = Mirrored(SKRect.Create(Margin + (column * (cells[r] + Gap)), top, cells[r], heights[r] + below[r]));
                AddCell(items, panel, cell, below[r], SmallText(cells[r]), hasBorder: true);
            }

            top += heights[r] + below[r] + Margin;
        }

        return new Page(width, height, items);
    }

    private Page Webtoon(int panel)
    {
        var items = new List<PageItem>();
        var box = new SKRect(-bleed, 0, width + bleed, 0);
        box.Bottom = box.Width * Ratio(panel);
        var left = AddImage(items, panel, box, box, new SKRect(0, 0, width, box.Bottom), hasBorder: false);
        var end = box.Bottom + Margin;
        if (Whole(panel, left, (float)options.TextSize, width - (2 * Margin), 10 * width) is { } caption)
        {
            items.Add(new TextItem(caption, width / 2, end));
            end += caption.Height + (2 * Margin);
        }

        return new Page(width, end, items);
    }

    /// <summary>The caption's page, and the image's.</summary>
    private IEnumerable<Page> Spread(int panel)
    {
        var image = book.Panels[panel].Image;
        var frame = new SKRect(-bleed, -bleed, width + bleed, height + bleed);
        var scale = Math.Max(frame.Width / image.Width, frame.Height / image.Height);
        var (all, focus) = (new SKSize(image.Width * scale, image.Height * scale), Focus(book.Panels[panel]));
        var box = SKRect.Create(
            frame.Left + Math.Clamp((frame.Width / 2) - (focus.X * all.Width), frame.Width - all.Width, 0),
            frame.Top + Math.Clamp((frame.Height / 2) - (focus.Y * all.Height), frame.Height - all.Height, 0),
            all.Width, all.Height);
        var items = new List<PageItem>();
        var left = AddImage(items, panel, frame, box, new SKRect(0, 0, width, height), hasBorder: false);
        var told = Whole(panel, left, (float)options.TextSize * 1.8f, width - (4 * Margin), height - (4 * Margin));
        yield return new Page(width, height, told is null ? [] : [new TextItem(told, width / 2, (height - told.Height) * 0.45f)]);
        yield return new Page(width, height, items);
    }

    /// <summary>What has to stay in sight of an image: the middle of its figures.</summary>
    private static SKPoint Focus(BookPanel panel)
    {
        var cells = panel.Figures.SelectMany(figure => Enumerable.Range(0, figure.Region.Width * figure.Region.Height)
            .Where(i => figure.Region.Cells[i])
            .Select(i => new SKPoint(
                ((i % figure.Region.Width) + 0.5f) / figure.Region.Width, ((i / figure.Region.Width) + 0.5f) / figure.Region.Height)))
            .ToList();
        return cells.Count == 0 ? new SKPoint(0.5f, 0.5f) : new SKPoint(
            (cells.Min(cell => cell.X) + cells.Max(cell => cell.X)) / 2, (cells.Min(cell => cell.Y) + cells.Max(cell => cell.Y)) / 2);
    }

    /// <summary>An image with its caption below, as large as a cell allows.</summary>
    /// <param name="items">Receives them.</param>
    /// <param name="panel">Whose.</param>
    /// <param name="cell">The cell.</param>
    /// <param name="below">What of its height is for the caption.</param>
    /// <param name="size">The size of the letters.</param>
    /// <param name="hasBorder">Whether a line goes round the image.</param>
    private void AddCell(List<PageItem> items, int panel, SKRect cell, float below, float size, bool hasBorder)
    {
        var boxWidth = Math.Min(cell.Width, (cell.Height - below) / Ratio(panel));
        var boxHeight = boxWidth * Ratio(panel);
        var box = SKRect.Create(cell.MidX - (boxWidth / 2), cell.Bottom - below - boxHeight, boxWidth, boxHeight);
        var left = AddImage(items, panel, box, box, box, hasBorder);
        if (Whole(panel, left, size, cell.Width, Math.Max(below, size * 2.6f * left.Count)) is { } whole)
        {
            items.Add(new TextItem(whole, cell.MidX, box.Bottom + (whole.Size * 0.4f)));
        }
    }

    /// <summary>Adds an image and its bubbles.</summary>
    /// <returns>The lines that have no place in it.</returns>
    private IReadOnlyList<BookLine> AddImage(
        List<PageItem> items, int panel, SKRect frame, SKRect image, SKRect area, bool hasBorder)
    {
        items.Add(new ImageItem(panel, frame, image, hasBorder));
        return bubbles.Place(book.Panels[panel], image, area, Math.Min((float)options.TextSize, Math.Max(6.5f, area.Width / 22)), items);
    }

    private TextBlock? Caption(int panel, float size, float lineWidth, float most) => Whole(panel, [], size, lineWidth, most);

    /// <summary>The caption, with the lines that have no bubble.</summary>
    private TextBlock? Whole(int panel, IReadOnlyList<BookLine> spoken, float size, float lineWidth, float most)
    {
        string?[] parts = [book.Panels[panel].Caption?.Trim(), .. spoken.Select(line => $"{line.Who}: “{line.Says.Trim()}”")];
        var all = string.Join('\n', parts.Where(part => !string.IsNullOrEmpty(part)));
        return all.Length == 0 ? null : Fit($"caption of panel {panel + 1}", all, size, lineWidth, most);
    }

    /// <summary>Sets a text in the largest size up to one that has room.</summary>
    private TextBlock Fit(string what, string own, float size, float lineWidth, float most)
    {
        for (var smaller = size; smaller >= Math.Min(size, LeastCaption); smaller *= 0.92f)
        {
            var block = text.Set(own, smaller, lineWidth);
            if (block.Height <= most)
            {
                return block;
            }
        }

        var (pageWidth, pageHeight) = (options.TrimOrDefault.Width, options.TrimOrDefault.Height);
        throw new ArgumentException(string.Create(
            CultureInfo.InvariantCulture,
            $"The {what} has {own.Length} characters, for which a page of {pageWidth} × {pageHeight} mm has no room; shorten it, or choose a "
                + $"larger page."));
    }

    /// <summary>An image's height by its width.</summary>
    private float Ratio(int panel) => book.Panels[panel].Image.Height / (float)book.Panels[panel].Image.Width;

    private float SmallText(float cellWidth) => Math.Clamp(cellWidth / 18, 6.5f, (float)options.TextSize);

    private SKRect Mirrored(SKRect box) => rightToLeft ? new SKRect(width - box.Right, box.Top, width - box.Left, box.Bottom) : box;
}
