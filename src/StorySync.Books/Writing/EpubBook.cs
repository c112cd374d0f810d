using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Xml.Linq;
using StorySync.Pipelines;
using static StorySync.Books.Markup;

namespace StorySync.Books;

/// <summary>Writes a book as EPUB 3 of fixed layout.</summary>
internal static class EpubBook
{
    private static readonly XNamespace Opf = "http://www.idpf.org/2007/opf";
    private static readonly XNamespace Dc = "http://purl.org/dc/elements/1.1/";
    private static readonly XNamespace Container = "urn:oasis:names:tc:opendocument:xmlns:container";

    public static byte[] Write(StoryBook book, BookOptions options)
    {
        using var fonts = new BookFonts();
        var pages = new PageComposer(book, options, fonts, bleed: 0).Compose();
        var archive = new BookArchive(options.Date);

        // The first file, as it is: readers know the format by it.
        archive.AddStored("mimetype", "application/epub+zip"u8.ToArray());
        archive.Add("META-INF/container.xml", ToBytes(new XElement(
            Container + "container", new XAttribute("version", "1.0"),
            new XElement(Container + "rootfiles", new XElement(
                Container + "rootfile", new XAttribute("full-path", "EPUB/package.opf"),
                new XAttribute("media-type", "application/oebps-package+xml"))))));
        var images = book.Panels.Select(panel => panel.Image.EncodePng()).ToList();
        var texts = pages.Select(page => ToBytes(Document(
            book, book.TitleOrDefault,
            [
                new XElement(
                    Html + "meta", new XAttribute("name", "viewport"),
                    new XAttribute("content", $"width={Pixels(page.Width)}, height={Pixels(page.Height)}")),
                new XElement(
                    Html + "link", new XAttribute("rel", "stylesheet"), new XAttribute("type", "text/css"),
                    new XAttribute("href", "book.css")),
            ],
            ToSvg(page, book, panel => $"images/{ImageName(panel)}")))).ToList();
        archive.Add("EPUB/package.opf", ToBytes(Package(book, options, texts, images)));
        archive.Add("EPUB/nav.xhtml", ToBytes(Document(book, book.TitleOrDefault, [], Navigation(book, pages))));
        archive.Add("EPUB/book.css", Encoding.UTF8.GetBytes(Style("fonts/Roboto-Regular.ttf") + "body { margin: 0; }\n"));
        archive.Add("EPUB/fonts/Roboto-Regular.ttf", BookFonts.EmbeddedFile());
        foreach (var (i, bytes) in texts.Index())
        {
            archive.Add($"EPUB/{PageName(i)}", bytes);
        }

        foreach (var (i, bytes) in images.Index())
        {
            archive.AddStored($"EPUB/images/{ImageName(i)}", bytes);
        }

        return archive.ToArray();
    }

    private static string PageName(int page) => string.Create(CultureInfo.InvariantCulture, $"page-{page + 1:D4}.xhtml");

    private static string ImageName(int panel) => string.Create(CultureInfo.InvariantCulture, $"panel-{panel + 1:D4}.png");

    /// <summary>Pages are for screens: 96 pixels an inch, twice as fine.</summary>
    private static string Pixels(float points) => Math.Round(points / 72 * 192).ToString(CultureInfo.InvariantCulture);

    private static XElement Document(StoryBook book, string title, XElement[] head, XElement body) => new(
        Html + "html", new XAttribute(XNamespace.Xmlns + "epub", Ops.NamespaceName),
        new XAttribute("lang", book.Language), new XAttribute(XNamespace.Xml + "lang", book.Language),
        new XElement(
            Html + "head", new XElement(Html + "meta", new XAttribute("charset", "utf-8")), new XElement(Html + "title", title), head),
        new XElement(Html + "body", body));

    private static XElement Navigation(StoryBook book, IReadOnlyList<Page> pages) => new(
        Html + "nav", new XAttribute(Ops + "type", "toc"),
        new XElement(Html + "h1", book.TitleOrDefault),
        new XElement(Html + "ol", pages.Select((page, i) => (Page: i, Panel: page.Items.OfType<ImageItem>().FirstOrDefault()?.Panel))
            .Where(entry => entry.Panel is not null)
            .Select(entry => new XElement(Html + "li", new XElement(
                Html + "a", new XAttribute("href", PageName(entry.Page)),
                FormattableString.Invariant($"{entry.Panel + 1}"))))));

    private static XElement Package(StoryBook book, BookOptions options, List<byte[]> texts, List<byte[]> images)
    {
        var isRightToLeft = book.IsRightToLeft(options);
        return new XElement(
            Opf + "package", new XAttribute("version", "3.0"), new XAttribute("unique-identifier", "id"),
            new XAttribute(XNamespace.Xml + "lang", book.Language),
            new XElement(
                Opf + "metadata", new XAttribute(XNamespace.Xmlns + "dc", Dc.NamespaceName),
                new XElement(Dc + "identifier", new XAttribute("id", "id"), $"urn:uuid:{Identify(texts, images)}"),
                new XElement(Dc + "title", book.TitleOrDefault),
                new XElement(Dc + "language", book.Language),
                book.Author is { Length: > 0 } author ? new XElement(Dc + "creator", author) : null,
                Meta("dcterms:modified", options.Date.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
                Meta("rendition:layout", "pre-paginated"),
                Meta("rendition:spread", options.Layout == BookLayout.Spread ? "both" : "none"),
                Meta("rendition:orientation", "auto"),
                Meta("schema:accessMode", "visual"),
                Meta("schema:accessMode", "textual"),
                Meta("schema:accessibilityFeature", "alternativeText"),
                Meta("schema:accessibilityHazard", "none")),
            new XElement(
                Opf + "manifest",
                Item("nav", "nav.xhtml", "application/xhtml+xml", "nav"),
                Item("css", "book.css", "text/css"),
                Item("font", "fonts/Roboto-Regular.ttf", "font/ttf"),
                texts.Select((_, i) => Item($"page-{i + 1}", PageName(i), "application/xhtml+xml", "svg")),
                images.Select((_, i) => Item($"panel-{i + 1}", $"images/{ImageName(i)}", "image/png", i == 0 ? "cover-image" : null))),
            new XElement(
                Opf + "spine", isRightToLeft ? new XAttribute("page-progression-direction", "rtl") : null,
                texts.Select((_, i) => new XElement(
                    Opf + "itemref", new XAttribute("idref", $"page-{i + 1}"), Side(book, options, i)))));
    }

    /// <summary>Of facing pages, on which side one is: the caption's comes first.</summary>
    private static XAttribute? Side(StoryBook book, BookOptions options, int page)
    {
        if (options.Layout != BookLayout.Spread)
        {
            return null;
        }

        var isFirst = (page - (book.Title.Length > 0 ? 1 : 0)) % 2 == 0;
        var isLeft = isFirst != book.IsRightToLeft(options);
        return new XAttribute("properties", isLeft ? "rendition:page-spread-left" : "rendition:page-spread-right");
    }

    private static XElement Meta(string property, string value) => new(Opf + "meta", new XAttribute("property", property), value);

    private static XElement Item(string id, string href, string type, string? properties = null) => new(
        Opf + "item", new XAttribute("id", id), new XAttribute("href", href), new XAttribute("media-type", type),
        properties is null ? null : new XAttribute("properties", properties));

    /// <summary>The same book has the same name.</summary>
    private static Guid Identify(List<byte[]> texts, List<byte[]> images)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var bytes in texts.Concat(images))
        {
            hash.AppendData(bytes);
        }

        return BookIdentity.FromHash(hash.GetHashAndReset());
    }
}
