using System.Globalization;
using System.Xml.Linq;
using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.Books;

/// <summary>Writes a book as a comic book archive.</summary>
internal static class CbzBook
{
    public static byte[] Write(StoryBook book, BookOptions options)
    {
        using var fonts = new BookFonts();
        var pages = new PageComposer(book, options, fonts, bleed: 0).Compose();
        fonts.CheckAll();
        var archive = new BookArchive(options.Date);
        var entries = new List<XElement>();
        using var drawing = new PageCanvas(book, options.Dpi);
        foreach (var (i, page) in pages.Index())
        {
            var image = Draw(drawing, page, options.Dpi / 72);
            archive.AddStored(string.Create(CultureInfo.InvariantCulture, $"page-{i + 1:D4}.png"), image.EncodePng());
            entries.Add(new XElement(
                "Page", new XAttribute("Image", i), new XAttribute("Type", i == 0 ? "FrontCover" : "Story"),
                new XAttribute("ImageWidth", image.Width), new XAttribute("ImageHeight", image.Height)));
        }

        archive.Add("ComicInfo.xml", Markup.ToBytes(Info(book, options, entries)));
        return archive.ToArray();
    }

    private static RgbImage Draw(PageCanvas drawing, Page page, double scale)
    {
        var (width, height) = (Math.Max(1, (int)Math.Round(page.Width * scale)), Math.Max(1, (int)Math.Round(page.Height * scale)));
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(bitmap);
        canvas.Clear(SKColors.White);
        canvas.Scale(width / page.Width, height / page.Height);
        drawing.Draw(canvas, page);
        canvas.Flush();

        // A page is made of images of a model's.
        return RgbImage.FromBitmap(bitmap).WithProvenance(new ImageProvenance());
    }

    private static XElement Info(StoryBook book, BookOptions options, List<XElement> pages) => new(
        "ComicInfo",
        book.Title.Length > 0 ? new XElement("Title", book.Title) : null,
        new XElement("Year", options.Date.UtcDateTime.Year),
        new XElement("Month", options.Date.UtcDateTime.Month),
        new XElement("Day", options.Date.UtcDateTime.Day),
        book.Author is { Length: > 0 } author ? new XElement("Writer", author) : null,
        new XElement("PageCount", pages.Count),
        new XElement("LanguageISO", book.Language),
        new XElement("Manga", book.IsRightToLeft(options) ? "YesAndRightToLeft" : "No"),
        new XElement("Pages", pages));
}
