using System.Xml.Linq;
using StorySync.Pipelines;
using static StorySync.Books.Markup;

namespace StorySync.Books;

/// <summary>Writes a book as one HTML page that loads nothing.</summary>
internal static class HtmlBook
{
    public static byte[] Write(StoryBook book, BookOptions options)
    {
        using var fonts = new BookFonts();
        var pages = new PageComposer(book, options, fonts, bleed: 0).Compose();
        string[] images = [.. book.Panels.Select(panel => $"data:image/png;base64,{Convert.ToBase64String(panel.Image.EncodePng())}")];
        var font = $"data:font/ttf;base64,{Convert.ToBase64String(BookFonts.EmbeddedFile())}";
        var isScroll = options.Layout == BookLayout.Webtoon;
        var columns = options.Layout == BookLayout.Spread ? 2 : 1;
        var gap = isScroll ? "0" : columns > 1 ? "16px 0" : "16px";
        var style = Style(font)
            + "body { margin: 0; background: #ddd; }\n"
            + $"main {{ max-width: {Number(Math.Max(pages.Max(page => page.Width) * 1.8 * columns, 480))}px; margin: 0 auto; "
            + $"display: grid; grid-template-columns: repeat({columns}, 1fr); gap: {gap}; }}\n"
            + "@media print { body { background: none; } main { display: block; max-width: none; } section { break-after: page; } }\n";
        return ToBytes(
            new XElement(
                Html + "html",
                new XAttribute("lang", book.Language),
                book.IsRightToLeft(options) ? new XAttribute("dir", "rtl") : null,
                new XElement(
                    Html + "head",
                    new XElement(Html + "meta", new XAttribute("charset", "utf-8")),
                    new XElement(
                        Html + "meta", new XAttribute("http-equiv", "Content-Security-Policy"),
                        new XAttribute("content", "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'")),
                    new XElement(
                        Html + "meta", new XAttribute("name", "viewport"),
                        new XAttribute("content", "width=device-width, initial-scale=1")),
                    new XElement(Html + "title", book.TitleOrDefault),
                    new XElement(Html + "style", style)),
                new XElement(
                    Html + "body",
                    new XElement(
                        Html + "main",
                        pages.Select((page, i) => new XElement(
                            Html + "section",
                            columns == 2 && i == 0 && book.Title.Length > 0 ? new XAttribute("style", "grid-column: 2") : null,
                            ToSvg(page, book, panel => images[panel])))))),
            isHtml: true);
    }
}
