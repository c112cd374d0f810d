using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace StorySync.Books;

/// <summary>Pages as SVG inside XHTML, and XML as bytes.</summary>
internal static class Markup
{
    public static readonly XNamespace Html = "http://www.w3.org/1999/xhtml";
    public static readonly XNamespace Svg = "http://www.w3.org/2000/svg";
    public static readonly XNamespace Ops = "http://www.idpf.org/2007/ops";

    public const string Family = "StorySync Book";

    /// <summary>An XML document as UTF-8.</summary>
    public static byte[] ToBytes(XElement root, bool isHtml = false)
    {
        var text = new StringBuilder(isHtml ? "<!DOCTYPE html>\n" : "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        using (var writer = XmlWriter.Create(text, new XmlWriterSettings
        {
            OmitXmlDeclaration = true, NewLineChars = "\n", NewLineHandling = NewLineHandling.None,
        }))
        {
            root.Save(writer);
        }

        return Encoding.UTF8.GetBytes(text.Append('\n').ToString());
    }

    /// <summary>A page.</summary>
    /// <param name="page">The page.</param>
    /// <param name="book">The book.</param>
    /// <param name="source">The address of a panel's image.</param>
    public static XElement ToSvg(Page page, StoryBook book, Func<int, string> source) => new(
        Svg + "svg",
        new XAttribute("viewBox", $"0 0 {Number(page.Width)} {Number(page.Height)}"),
        new XElement(Svg + "rect", new XAttribute("width", "100%"), new XAttribute("height", "100%"), new XAttribute("fill", "#fff")),
        page.Items.Select(item => ToSvg(item, book, source)));

    public static string Number(double value) => Math.Round(value, 2).ToString(CultureInfo.InvariantCulture);

    /// <summary>The CSS that all pages have.</summary>
    /// <param name="font">The address of the embedded font.</param>
    public static string Style(string font) =>
        $"@font-face {{ font-family: '{Family}'; src: url('{font}') format('truetype'); }}\n"
            + $"svg {{ display: block; width: 100%; font-family: '{Family}', sans-serif; }}\n";

    private static IEnumerable<XElement> ToSvg(PageItem item, StoryBook book, Func<int, string> source)
    {
        switch (item)
        {
            case ImageItem image:
                var panel = book.Panels[image.Panel];
                yield return new XElement(
                    Svg + "svg", Box(image.Frame),
                    new XAttribute(
                        "viewBox",
                        $"{Number(image.Frame.Left)} {Number(image.Frame.Top)} {Number(image.Frame.Width)} {Number(image.Frame.Height)}"),
                    new XElement(
                        Svg + "image", Box(image.Image), new XAttribute("href", source(image.Panel)),
                        new XAttribute("preserveAspectRatio", "none"), new XAttribute("role", "img"),
                        new XAttribute("aria-label", panel.Description ?? panel.Caption ?? "")));
                if (image.HasBorder)
                {
                    yield return new XElement(
                        Svg + "rect", Box(image.Frame), new XAttribute("fill", "none"), new XAttribute("stroke", "#222"),
                        new XAttribute("stroke-width", "0.75"));
                }

                break;

            case BubbleItem bubble:
                yield return new XElement(
                    Svg + "path", new XAttribute("d", bubble.Outline), new XAttribute("fill", "#fff"), new XAttribute("stroke", "#222"),
                    new XAttribute("stroke-width", Number(bubble.Line)), new XAttribute("stroke-linejoin", "round"));
                break;

            case TextItem text:
                // An element of each direction, whose lines a screen reader reads as one text.
                foreach (var (first, count) in OfOneDirection(text.Text.Lines))
                {
                    yield return new XElement(
                        Svg + "text", new XAttribute("font-size", Number(text.Text.Size)), new XAttribute("text-anchor", "middle"),
                        new XAttribute("fill", "#222"),
                        new XAttribute("direction", text.Text.Lines[first].RightToLeft ? "rtl" : "ltr"),
                        Enumerable.Range(first, count).Select(i => new XElement(
                            Svg + "tspan", new XAttribute("x", Number(text.Centre)),
                            new XAttribute("y", Number(text.Top + text.Text.Ascent + (i * text.Text.LineHeight))),
                            text.Text.Lines[i].Text)));
                }

                break;
        }
    }

    private static IEnumerable<(int First, int Count)> OfOneDirection(IReadOnlyList<TextLine> lines)
    {
        for (var first = 0; first < lines.Count;)
        {
            var count = lines.Skip(first).TakeWhile(line => line.RightToLeft == lines[first].RightToLeft).Count();
            yield return (first, count);
            first += count;
        }
    }

    private static IEnumerable<XAttribute> Box(SkiaSharp.SKRect box) =>
    [
        new("x", Number(box.Left)), new("y", Number(box.Top)), new("width", Number(box.Width)), new("height", Number(box.Height)),
    ];
}
