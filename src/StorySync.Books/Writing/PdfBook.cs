using SkiaSharp;

namespace StorySync.Books;

/// <summary>Writes a book as PDF.</summary>
internal static class PdfBook
{
    /// <summary>Coarser images are enlarged before.</summary>
    private const double LeastDpi = 150;

    public static byte[] Write(StoryBook book, BookOptions options)
    {
        using var fonts = new BookFonts();
        var bleed = (float)options.Bleed * PageComposer.Millimeter;
        var pages = new PageComposer(book, options, fonts, bleed).Compose();
        fonts.CheckAll();
        using var stream = new MemoryStream();
        using (var document = SKDocument.CreatePdf(stream, Metadata(book, options)))
        using (var drawing = new PageCanvas(book, LeastDpi))
        {
            foreach (var page in pages)
            {
                var canvas = document.BeginPage(page.Width + (2 * bleed), page.Height + (2 * bleed));
                canvas.Translate(bleed, bleed);
                drawing.Draw(canvas, page);
                document.EndPage();
            }

            document.Close();
        }

        return PdfFinish.Apply(stream.ToArray(), bleed);
    }

    private static SKDocumentPdfMetadata Metadata(StoryBook book, BookOptions options) => new(72)
    {
        Title = book.Title,
        Author = book.Author ?? "",
        Creator = "StorySync",
        Producer = "StorySync",
        Creation = options.Date.UtcDateTime,
        Modified = options.Date.UtcDateTime,
        PdfA = true,
        EncodingQuality = 101,
        RasterDpi = 300,
    };
}
