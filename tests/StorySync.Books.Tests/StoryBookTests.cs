using System.IO.Compression;
using System.Text;
using System.Xml.Linq;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Books.Tests;

public sealed class StoryBookTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData(BookFormat.Pdf)]
    [InlineData(BookFormat.Epub)]
    [InlineData(BookFormat.Cbz)]
    [InlineData(BookFormat.Html)]
    public void The_same_book_is_the_same_file(BookFormat format)
    {
        var options = new BookOptions { Layout = BookLayout.Feature, Dpi = 72 };
        var first = TestBook.Of().ToBytes(format, options);
        Assert.Equal(first, TestBook.Of().ToBytes(format, options));
        Assert.NotEqual(first, (TestBook.Of() with { Title = "Another day" }).ToBytes(format, options));

        // HTML has no date.
        var later = TestBook.Of().ToBytes(format, options with { Date = options.Date.AddYears(5) });
        Assert.Equal(format == BookFormat.Html, first.AsSpan().SequenceEqual(later));
    }

    [Fact]
    public void A_comic_book_archive_has_a_page_an_image()
    {
        using var zip = new ZipArchive(new MemoryStream((TestBook.Of() with { Language = "ar" }).ToBytes(
            BookFormat.Cbz, new BookOptions { Layout = BookLayout.Grid, Dpi = 50 })));
        Assert.Equal(["page-0001.png", "page-0002.png", "ComicInfo.xml"], zip.Entries.Select(entry => entry.FullName));
        using var stream = zip.GetEntry("ComicInfo.xml")!.Open();
        var info = XDocument.Load(stream).Root!;
        Assert.Equal(
            ("A day", "Somebody", "2", "ar", "YesAndRightToLeft"),
            (Value("Title"), Value("Writer"), Value("PageCount"), Value("LanguageISO"), Value("Manga")));
        var image = RgbImage.Decode(Bytes(zip, "page-0001.png"));
        Assert.Equal((291, 413), (image.Width, image.Height));
        Assert.Equal("291", info.Element("Pages")!.Elements().First().Attribute("ImageWidth")!.Value);
        Assert.NotNull(image.Provenance);

        string Value(string name) => info.Element(name)!.Value;
    }

    [Fact]
    public void HTML_loads_nothing_and_hostile_texts_stay_texts()
    {
        const string Hostile = "</svg><script>alert(1)</script><img src=x onerror=alert(2)> ]]> & \"'";
        var book = (TestBook.Of(2) with { Title = Hostile, Author = Hostile }).With(panel => panel with
        {
            Caption = Hostile, Description = Hostile, Dialogue = [new("a fox", Hostile)],
        });
        foreach (var layout in Enum.GetValues<BookLayout>())
        {
            var text = Encoding.UTF8.GetString(book.ToBytes(BookFormat.Html, new BookOptions { Layout = layout }));
            Assert.StartsWith("<!DOCTYPE html>\n<html", text, StringComparison.Ordinal);
            var root = XDocument.Parse(text["<!DOCTYPE html>\n".Length..]).Root!;
            Assert.DoesNotContain(root.Descendants(), own => own.Name.LocalName is "script" or "img" or "a" or "iframe");
            Assert.All(
                root.Descendants().Attributes().Where(own => own.Name.LocalName is "href" or "src"),
                own => Assert.StartsWith("data:image/png;base64,", own.Value, StringComparison.Ordinal));
            Assert.DoesNotContain(root.Descendants().Attributes(), own => own.Name.LocalName.StartsWith("on", StringComparison.Ordinal));
            Assert.Equal(Hostile, root.Descendants().Single(own => own.Name.LocalName == "title").Value);
            Assert.Contains(
                "alert(1)",
                string.Concat(root.Descendants().Where(own => own.Name.LocalName == "tspan").Select(own => own.Value)));
        }
    }

    [Theory]
    [InlineData("a\u0007b", "caption of panel 1 has the character U+0007 at 2")]
    [InlineData("\u001b[31m", "U+001B at 1")]
    [InlineData("a\tb", "U+0009")]
    [InlineData("\uffff", "U+FFFF")]
    public void A_text_with_other_characters_is_refused(string caption, string words)
    {
        var book = TestBook.Of(1).With(panel => panel with { Caption = caption });
        Assert.All(Enum.GetValues<BookFormat>(), format =>
            Assert.Contains(words, Assert.Throws<ArgumentException>(() => book.ToBytes(format)).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Half_a_character_is_refused() => Assert.Contains(
        "U+D800",
        Assert.Throws<ArgumentException>(() => TestBook.Of(1).With(panel => panel with { Caption = "a\ud800" }).ToBytes(BookFormat.Html))
            .Message);

    public static TheoryData<Func<StoryBook, StoryBook>, BookOptions, string> Faults() => new()
    {
        { book => book with { Panels = [] }, new(), "no images" },
        { book => book with { Title = "\u0001" }, new(), "title" },
        { book => book with { Language = "" }, new(), "language is ''" },
        { book => book with { Language = "e<n" }, new(), "BCP 47" },
        { book => book.With(panel => panel with { Dialogue = [new("a fox", " ")] }), new(), "says nothing" },
        { book => book.With(panel => panel with { Caption = new string('x', 20_000) }), new(), "20000 characters" },
        { book => book.With(panel => panel with { Caption = new string('x', 3000) }), new() { Trim = new(30, 30) }, "has no room" },
        { book => book, new() { Layout = (BookLayout)99 }, "Layout is 99; known are Single" },
        { book => book, new() { Trim = new(0, 0) }, "Trim is 0 × 0" },
        { book => book, new() { Trim = new(double.NaN, 100) }, "Trim is NaN" },
        { book => book, new() { Trim = new(100, 5000) }, "30 to 1000" },
        { book => book, new() { Bleed = -1 }, "Bleed is -1" },
        { book => book, new() { TextSize = 0 }, "TextSize is 0" },
        { book => book, new() { Dpi = 1e9 }, "Dpi is" },
        { book => book, new() { Date = default }, "Date is of the year 1" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_fault_is_named(Func<StoryBook, StoryBook> change, BookOptions options, string words) => Assert.All(
        Enum.GetValues<BookFormat>(),
        format => Assert.Contains(
            words, Assert.Throws<ArgumentException>(() => change(TestBook.Of(1)).ToBytes(format, options)).Message,
            StringComparison.Ordinal));

    [Theory]
    [InlineData("book.txt")]
    [InlineData("book")]
    [InlineData("book.0")]
    public void A_file_of_another_kind_is_refused(string name)
    {
        Assert.Contains("expected .pdf", Assert.Throws<ArgumentException>(() => TestBook.Of(1).Save(folder.PathOf(name))).Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void What_cannot_be_written_leaves_what_was_there()
    {
        var path = folder.Write("book.html", "before");
        Assert.Throws<ArgumentException>(() => (TestBook.Of(1) with { Panels = [] }).Save(path));
        Assert.ThrowsAny<IOException>(() => TestBook.Of(1).Save(folder.Path + "/none/book.html"));
        Assert.Equal("before", File.ReadAllText(path));
        TestBook.Of(1).Save(path);
        Assert.StartsWith("<!DOCTYPE", File.ReadAllText(path), StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void A_book_of_a_story_has_its_figures_by_all_their_names()
    {
        var region = TestBook.Region((x, _) => x < 4);
        using var story = new StoryResult
        {
            Timings = new() { Encoding = default, Denoising = default, Decoding = default },
            Scenes =
            [
                new SceneResult
                {
                    Scene = new Scene("Mia"), Prompt = "A small red fox", Image = TestBook.Image(0), Seed = 1,
                    Subjects =
                    [
                        new() { Subject = "a cat", Region = null },
                        new() { Subject = "a dog", Region = TestBook.Region((_, _) => false) },
                        new() { Subject = "small red fox", Region = region },
                    ],
                },
            ],
        };
        var panel = Assert.Single(
            StoryBook.From(story, [new Character("Mia", "a small red fox with a scarf") { Aliases = ["the captain"] }]).Panels);
        Assert.Equal(["small red fox", "Mia", "the captain"], Assert.Single(panel.Figures).Names);
        Assert.Same(region, panel.Figures[0].Region);
        Assert.Equal(("A small red fox", null), (panel.Description, panel.Caption));
    }

    [Fact]
    public void The_resolution_is_that_of_the_coarsest_image()
    {
        // 48 pixels over the page and its bleed.
        Assert.Equal(48 / (154 / 25.4), TestBook.Of(1).Resolution(), 1e-2);
        var book = TestBook.Of(2);
        book = book with { Panels = [book.Panels[0] with { Image = book.Panels[0].Image.Resize(480, 480) }, book.Panels[1]] };
        Assert.Equal(48 / (154 / 25.4), book.Resolution(), 1e-2);
        Assert.True(book.Resolution(new BookOptions { Layout = BookLayout.Grid }) > 2 * book.Resolution());
    }

    [Fact]
    public async Task A_story_is_drawn_larger_for_print()
    {
        using var pipeline = DiffusionPipeline.Load("storybook");
        var options = new StoryOptions { Request = new GenerationRequest { Steps = 4, Width = 64, Height = 64, Seed = 3 } };
        using var story = pipeline.GenerateStory(new Story { Subjects = ["a frog"], Scenes = [new("a frog")] }, options);
        var layout = new BookOptions { Layout = BookLayout.Single };
        using var larger = await StoryBook.RefineForPrintAsync(
            pipeline, story, layout, largestFactor: 2, drawing: options, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal((128, 128), (larger!.Scenes[0].Image.Width, larger.Scenes[0].Image.Height));
        Assert.Equal(2, StoryBook.From(larger).Resolution(layout) / StoryBook.From(story).Resolution(layout), 1e-6);
        Assert.Null(await StoryBook.RefineForPrintAsync(
            pipeline, story, layout, dpi: 10, cancellationToken: TestContext.Current.CancellationToken));
    }

    public void Dispose() => folder.Dispose();

    private static byte[] Bytes(ZipArchive zip, string name)
    {
        using var stream = zip.GetEntry(name)!.Open();
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        return memory.ToArray();
    }
}
