using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using StorySync.Pipelines;
using StorySync.TestSupport;
using UglyToad.PdfPig;

namespace StorySync.Books.Tests;

public sealed class PdfBookTests : IDisposable
{
    private const double Millimeter = 72 / 25.4;

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void A_reader_finds_pages_texts_fonts_and_metadata()
    {
        var book = TestBook.Of();
        using var document = PdfDocument.Open(book.ToBytes(BookFormat.Pdf));
        Assert.Equal(5, document.NumberOfPages);
        Assert.Equal(("A day", "Somebody"), (document.Information.Title, document.Information.Author));
        for (var i = 0; i < 4; i++)
        {
            var page = document.GetPage(i + 2);
            var words = page.GetWords().Select(word => word.Text).Order(StringComparer.Ordinal);
            Assert.Equal(
                $"{book.Panels[i].Caption} {string.Join(' ', book.Panels[i].Dialogue.Select(line => line.Says))}".Split(' ')
                    .Order(StringComparer.Ordinal),
                words);

            // A subset of the font is inside, which its name's prefix says.
            Assert.All(page.Letters, letter => Assert.Matches(@"^[A-Z]{6}\+Roboto", letter.FontName));
            var image = Assert.Single(page.GetImages());
            Assert.True(image.WidthInSamples >= page.Width / 72 * 149, $"{image.WidthInSamples} pixels for {page.Width} points");
        }

        Assert.True(document.TryGetXmpMetadata(out var xmp));
        var metadata = Encoding.UTF8.GetString(xmp!.GetXmlBytes().ToArray());
        Assert.Contains("<pdfaid:part>2</pdfaid:part>", metadata, StringComparison.Ordinal);
        Assert.Contains("<pdfaid:conformance>B</pdfaid:conformance>", metadata, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, BookLayout.Single)]
    [InlineData(0, BookLayout.Grid)]
    [InlineData(5.5, BookLayout.Webtoon)]
    public void Pages_have_bleed_and_say_where_they_are_cut(double bleed, BookLayout layout)
    {
        var pdf = TestBook.Of().ToBytes(
            BookFormat.Pdf, new BookOptions { Layout = layout, Trim = new PageSize(120, 150), Bleed = bleed });
        var boxes = Regex.Matches(
            Encoding.Latin1.GetString(pdf),
            @"/TrimBox \[(\S+) (\S+) (\S+) (\S+)\]\n/BleedBox \[0 0 (\S+) (\S+)\]\n/MediaBox \[0 0 (\S+) (\S+)\]");
        using var document = PdfDocument.Open(pdf);
        Assert.Equal(document.NumberOfPages, boxes.Count);
        Assert.All(document.GetPages().Zip(boxes), page =>
        {
            double[] numbers = [.. page.Second.Groups.Values.Skip(1).Select(own => double.Parse(own.ValueSpan,
                System.Globalization.CultureInfo.InvariantCulture))];
            Assert.Equal((120 + (2 * bleed)) * Millimeter, page.First.Width, 0.1);
            Assert.Equal(120 * Millimeter, numbers[2] - numbers[0], 0.1);
            Assert.Equal(bleed * Millimeter, numbers[0], 0.1);
            Assert.Equal(bleed * Millimeter, numbers[1], 0.1);
            Assert.Equal((page.First.Width, page.First.Height), (numbers[4], numbers[5]));
            Assert.Equal(bleed * Millimeter, numbers[5] - numbers[3], 0.1);
        });
    }

    /// <summary>Every entry of the table leads to its object, and the trailer to the table.</summary>
    [Fact]
    public void Its_table_is_right()
    {
        var text = Encoding.Latin1.GetString(TestBook.Of().ToBytes(BookFormat.Pdf));
        var table = int.Parse(Regex.Match(text, @"startxref\n(\d+)\n%%EOF\n\z").Groups[1].ValueSpan, null);
        var entries = Regex.Matches(text[table..], @"^(\d{10}) 00000 n", RegexOptions.Multiline);
        Assert.StartsWith($"xref\n0 {entries.Count + 1}\n", text[table..], StringComparison.Ordinal);
        Assert.All(entries.Index(), entry => Assert.StartsWith(
            $"{entry.Index + 1} 0 obj", text[int.Parse(entry.Item.Groups[1].ValueSpan, null)..], StringComparison.Ordinal));
    }

    [Fact]
    public void A_page_is_drawn_as_it_is_laid_out()
    {
        var program = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).Select(path => Path.Combine(path, "pdftoppm"))
            .FirstOrDefault(File.Exists);
        Assert.SkipWhen(program is null, "pdftoppm, of poppler, is not installed.");
        var red = new byte[48 * 48 * 3];
        for (var i = 0; i < red.Length; i += 3)
        {
            red[i] = 255;
        }

        var book = TestBook.Of(1) with { Title = "" };
        book = book.With(panel => panel with { Image = new RgbImage(48, 48, red), Dialogue = [] });
        book.Save(folder.PathOf("book.pdf"), new BookOptions { Trim = new PageSize(100, 140) });
        using var process = Process.Start(program!, ["-r", "72", "-png", "-singlefile", folder.PathOf("book.pdf"), folder.PathOf("page")]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        var page = RgbImage.Load(folder.PathOf("page.png"));

        // 3 mm of bleed on each side; the image from edge to edge, and paper with a caption below.
        Assert.Equal(106 * Millimeter, page.Width, 1.0);
        Assert.Equal((255, 0, 0), At(1, 1));
        Assert.Equal((255, 0, 0), At(page.Width - 2, page.Width - 4));
        Assert.Equal((255, 255, 255), At(1, page.Height - 2));
        Assert.Contains(
            Enumerable.Range(0, page.Width * (page.Height - page.Width - 4)),
            i => At(i % page.Width, page.Width + 2 + (i / page.Width)) is { Item1: < 80, Item2: < 80 });

        (int, int, int) At(int x, int y)
        {
            var pixel = page.Pixels.Slice(((y * page.Width) + x) * 3, 3);
            return (pixel[0], pixel[1], pixel[2]);
        }
    }

    public void Dispose() => folder.Dispose();
}
