using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.Books.Tests;

public class PageTests
{
    [Theory]
    [InlineData(BookLayout.Single, 5, 6)]
    [InlineData(BookLayout.Grid, 5, 3)]
    [InlineData(BookLayout.Feature, 5, 3)]
    [InlineData(BookLayout.Strip, 5, 3)]
    [InlineData(BookLayout.Webtoon, 5, 6)]
    [InlineData(BookLayout.Spread, 5, 11)]
    public void A_layout_has_pages_with_every_image_and_caption(BookLayout layout, int panels, int count)
    {
        var book = TestBook.Of(panels);
        var pages = Compose(book, new BookOptions { Layout = layout });
        Assert.Equal(count, pages.Count);
        Assert.Equal(Enumerable.Range(0, panels), pages.SelectMany(page => page.Items.OfType<ImageItem>()).Select(item => item.Panel));
        var text = string.Join(' ', Texts(pages));
        Assert.All(book.Panels, panel => Assert.Contains(panel.Caption!, text, StringComparison.Ordinal));
        Assert.All(book.Panels, panel => Assert.All(panel.Dialogue, line => Assert.Contains(line.Says, text, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(BookLayout.Single)]
    [InlineData(BookLayout.Grid)]
    [InlineData(BookLayout.Feature)]
    [InlineData(BookLayout.Strip)]
    [InlineData(BookLayout.Webtoon)]
    [InlineData(BookLayout.Spread)]
    public void Everything_is_on_the_page_and_no_text_on_another(BookLayout layout)
    {
        foreach (var (width, height) in ((int, int)[])[(48, 48), (96, 48), (48, 96)])
        {
            var book = TestBook.Of(5).With(panel => panel with { Image = panel.Image.Resize(width, height) });
            foreach (var page in Compose(book, new BookOptions { Layout = layout }, bleed: 8))
            {
                var sheet = new SKRect(-8.01f, -8.01f, page.Width + 8.01f, page.Height + 8.01f);
                Assert.All(page.Items.OfType<ImageItem>(), item => Assert.True(sheet.Contains(item.Frame), $"{item.Frame} in {sheet}"));
                var boxes = page.Items.OfType<TextItem>().Select(BoxOf).ToList();
                Assert.All(boxes, box => Assert.True(new SKRect(0, 0, page.Width, page.Height).Contains(box), $"{box} in {sheet}"));
                for (var i = 0; i < boxes.Count; i++)
                {
                    Assert.All(boxes[..i], other => Assert.False(other.IntersectsWith(boxes[i]), $"{other} and {boxes[i]}"));
                }
            }
        }
    }

    [Fact]
    public void Images_keep_their_proportions() => Assert.All(
        Enum.GetValues<BookLayout>(),
        layout => Assert.All(
            Compose(TestBook.Of(5).With(panel => panel with { Image = panel.Image.Resize(96, 60) }), new BookOptions { Layout = layout })
                .SelectMany(page => page.Items.OfType<ImageItem>()),
            item => Assert.Equal(60 / 96.0, item.Image.Height / item.Image.Width, 1e-3)));

    [Theory]
    [InlineData(BookLayout.Grid)]
    [InlineData(BookLayout.Strip)]
    public void Images_of_a_row_stand_from_the_side_where_the_book_begins(BookLayout layout)
    {
        var book = TestBook.Of();
        foreach (var (language, sign) in ((string, int)[])[("en", 1), ("ar-EG", -1)])
        {
            var frames = Compose(book with { Language = language }, new BookOptions { Layout = layout })[1].Items.OfType<ImageItem>()
                .Select(item => item.Frame).ToList();
            Assert.Equal(sign, Math.Sign(frames[1].Left - frames[0].Left));
            Assert.Equal(frames[0].Top, frames[1].Top, 1e-3f);
        }
    }

    [Fact]
    public void Bubbles_leave_figures_free_and_point_to_them_without_touching_faces()
    {
        foreach (var layout in Enum.GetValues<BookLayout>())
        {
            foreach (var page in Compose(TestBook.Of(), new BookOptions { Layout = layout }))
            {
                foreach (var image in page.Items.OfType<ImageItem>())
                {
                    // The figure and its upper 55 %, as the region says.
                    var (left, right) = (At(image, 4 / 12f, 0).X, At(image, 8 / 12f, 0).X);
                    var (top, bottom) = (At(image, 0, 3 / 12f).Y, At(image, 0, 11 / 12f).Y);
                    var figure = new SKRect(left, top, right, bottom);
                    var face = new SKRect(left, top, right, top + (0.55f * (bottom - top)));
                    var own = page.Items.SkipWhile(item => item != image).Skip(1).TakeWhile(item => item is not ImageItem).ToList();
                    foreach (var bubble in own.OfType<BubbleItem>())
                    {
                        using var outline = SKPath.ParseSvgPathData(bubble.Outline);
                        Assert.DoesNotContain(
                            from x in Enumerable.Range(1, 19) from y in Enumerable.Range(1, 19)
                            select new SKPoint(face.Left + (face.Width * x / 20), face.Top + (face.Height * y / 20)),
                            point => outline.Contains(point.X, point.Y));
                        var text = BoxOf((TextItem)own[own.IndexOf(bubble) + 1]);
                        Assert.False(text.IntersectsWith(figure), $"{layout}: {text} and {figure}");
                        Assert.True(outline.Bounds.Contains(text));
                    }
                }
            }
        }

        static SKPoint At(ImageItem item, float x, float y) =>
            new(item.Image.Left + (x * item.Image.Width), item.Image.Top + (y * item.Image.Height));
    }

    [Fact]
    public void A_given_face_takes_the_place_of_the_upper_part()
    {
        var book = TestBook.Of(1).With(panel => panel with
        {
            Figures = [panel.Figures[0] with { Region = TestBook.Region((_, _) => true), Face = new RegionBox(0, 0.2, 1, 0.8) }],
        });
        var page = Compose(book, new BookOptions { Layout = BookLayout.Webtoon })[1];
        var image = Assert.Single(page.Items.OfType<ImageItem>()).Image;
        Assert.All(
            page.Items.OfType<BubbleItem>(),
            item =>
            {
                using var outline = SKPath.ParseSvgPathData(item.Outline);
                Assert.True(outline.Bounds.Bottom <= image.Top + (0.2f * image.Height) + 0.1f);
            });
        Assert.NotEmpty(page.Items.OfType<BubbleItem>());
    }

    [Fact]
    public void What_has_no_place_is_told_below()
    {
        var book = TestBook.Of(1).With(panel => panel with { Figures = [panel.Figures[0] with { Face = new RegionBox(0, 0, 1, 1) }] });
        var page = Compose(book, new BookOptions())[1];
        Assert.Empty(page.Items.OfType<BubbleItem>());
        Assert.Contains("Mia: “And another one, which is longer.”", string.Join(' ', Texts([page])), StringComparison.Ordinal);
    }

    [Fact]
    public void A_spread_keeps_the_figures_in_sight()
    {
        // A wide image whose figure is at its right end.
        var book = TestBook.Of(1).With(panel => panel with
        {
            Image = panel.Image.Resize(192, 48), Figures = [new(["a fox"], TestBook.Region((x, _) => x >= 10))],
        });
        var item = Compose(book, new BookOptions { Layout = BookLayout.Spread })[2].Items.OfType<ImageItem>().Single();
        Assert.Equal(item.Frame.Right, item.Image.Right, 0.01f);
        Assert.True(item.Image.Left < item.Frame.Left);
    }

    private static SKRect BoxOf(TextItem item) => SKRect.Create(
        item.Centre - (item.Text.Width / 2), item.Top, item.Text.Width, item.Text.Height);

    private static IEnumerable<string> Texts(IEnumerable<Page> pages) =>
        pages.SelectMany(page => page.Items.OfType<TextItem>()).SelectMany(item => item.Text.Lines).Select(line => line.Text);

    private static IReadOnlyList<Page> Compose(StoryBook book, BookOptions options, float bleed = 0)
    {
        using var fonts = new BookFonts();
        return new PageComposer(book, options, fonts, bleed).Compose();
    }
}
