using System.IO.Compression;
using System.Text;
using System.Xml.Linq;
using StorySync.Pipelines;

namespace StorySync.Books.Tests;

public class EpubBookTests
{
    private static readonly XNamespace Opf = "http://www.idpf.org/2007/opf";
    private static readonly XNamespace Html = "http://www.w3.org/1999/xhtml";

    [Fact]
    public void The_first_file_is_the_type_and_is_stored()
    {
        var bytes = TestBook.Of().ToBytes(BookFormat.Epub);
        Assert.Equal("PK\u0003\u0004"u8, bytes.AsSpan(0, 4));
        Assert.Equal(0, BitConverter.ToUInt16(bytes, 8));
        Assert.Equal((8, 0), (BitConverter.ToUInt16(bytes, 26), BitConverter.ToUInt16(bytes, 28)));
        Assert.Equal("mimetypeapplication/epub+zip", Encoding.ASCII.GetString(bytes, 30, 28));
    }

    [Theory]
    [InlineData(BookLayout.Single)]
    [InlineData(BookLayout.Grid)]
    [InlineData(BookLayout.Spread)]
    public void What_belongs_together_is_there(BookLayout layout)
    {
        using var zip = Open(TestBook.Of().ToBytes(BookFormat.Epub, new BookOptions { Layout = layout }));
        var names = zip.Entries.Select(entry => entry.FullName).ToHashSet();
        Assert.Equal(zip.Entries.Count, names.Count);
        var rootFile = Read(zip, "META-INF/container.xml").Descendants().Single(own => own.Name.LocalName == "rootfile");
        Assert.Equal("EPUB/package.opf", rootFile.Attribute("full-path")!.Value);
        var package = Read(zip, "EPUB/package.opf").Root!;
        var items = package.Element(Opf + "manifest")!.Elements().ToDictionary(item => item.Attribute("id")!.Value);

        // All files are in the manifest, and all of the manifest are files.
        Assert.Equal(
            names.Where(name => name.StartsWith("EPUB/", StringComparison.Ordinal) && name != "EPUB/package.opf").Order(),
            items.Values.Select(item => $"EPUB/{item.Attribute("href")!.Value}").Order());
        Assert.Single(items.Values, item => item.Attribute("properties")?.Value == "nav");
        Assert.Single(items.Values, item => item.Attribute("properties")?.Value == "cover-image");
        var spine = package.Element(Opf + "spine")!.Elements().Select(own => items[own.Attribute("idref")!.Value]).ToList();
        Assert.NotEmpty(spine);
        Assert.Equal(spine.Distinct(), spine);
        foreach (var page in spine)
        {
            var root = Read(zip, $"EPUB/{page.Attribute("href")!.Value}").Root!;
            Assert.Equal(Html + "html", root.Name);
            Assert.Contains(
                root.Descendants(Html + "meta"),
                meta => meta.Attribute("name")?.Value == "viewport"
                    && meta.Attribute("content")!.Value.StartsWith("width=", StringComparison.Ordinal));
            Assert.All(
                root.Descendants().SelectMany(own => own.Attributes("href")), link => Assert.Contains($"EPUB/{link.Value}", names));
            Assert.All(
                root.Descendants().Where(own => own.Name.LocalName == "image"),
                image => Assert.StartsWith("image ", image.Attribute("aria-label")!.Value, StringComparison.Ordinal));
        }

        var links = Read(zip, "EPUB/nav.xhtml").Descendants(Html + "a").Select(link => $"EPUB/{link.Attribute("href")!.Value}").ToList();
        Assert.NotEmpty(links);
        Assert.Subset(names, links.ToHashSet());
    }

    [Fact]
    public void The_package_says_what_it_is()
    {
        using var zip = Open((TestBook.Of() with { Language = "he" }).ToBytes(
            BookFormat.Epub, new BookOptions { Layout = BookLayout.Spread, Date = new(2024, 2, 3, 4, 5, 6, TimeSpan.Zero) }));
        var package = Read(zip, "EPUB/package.opf").Root!;
        Assert.Equal("3.0", package.Attribute("version")!.Value);
        var metadata = package.Element(Opf + "metadata")!.Elements().ToLookup(
            own => own.Attribute("property")?.Value ?? own.Name.LocalName, own => own.Value);
        Assert.Equal("pre-paginated", metadata["rendition:layout"].Single());
        Assert.Equal("2024-02-03T04:05:06Z", metadata["dcterms:modified"].Single());
        Assert.Equal(
            ("A day", "Somebody", "he"), (metadata["title"].Single(), metadata["creator"].Single(), metadata["language"].Single()));
        Assert.Matches("^urn:uuid:[0-9a-f-]{36}$", metadata["identifier"].Single());
        Assert.Equal(package.Attribute("unique-identifier")!.Value, package.Descendants().Single(own => own.Name.LocalName == "identifier")
            .Attribute("id")!.Value);
        var spine = package.Element(Opf + "spine")!;
        Assert.Equal("rtl", spine.Attribute("page-progression-direction")!.Value);

        // The title is on the left, and the first of facing pages on the right.
        Assert.Equal(
            ["rendition:page-spread-left", "rendition:page-spread-right", "rendition:page-spread-left"],
            spine.Elements().Take(3).Select(own => own.Attribute("properties")!.Value));
    }

    private static ZipArchive Open(byte[] bytes) => new(new MemoryStream(bytes));

    private static XDocument Read(ZipArchive zip, string name)
    {
        using var stream = zip.GetEntry(name)!.Open();
        return XDocument.Load(stream);
    }
}
