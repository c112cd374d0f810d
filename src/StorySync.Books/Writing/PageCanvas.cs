using System.Text;
using SkiaSharp;

namespace StorySync.Books;

/// <summary>Draws pages.</summary>
/// <param name="book">The book.</param>
/// <param name="dpi">The least pixels per inch that images are drawn with; coarser ones are enlarged before, which viewers do less
/// well.</param>
internal sealed class PageCanvas(StoryBook book, double dpi) : IDisposable
{
    public static readonly SKColor Ink = new(0x22, 0x22, 0x22);

    private readonly SKPaint ink = new() { Color = Ink, IsAntialias = true };
    private readonly SKPaint paper = new() { Color = SKColors.White, IsAntialias = true };

    /// <summary>Draws a page, whose upper left corner is the canvas's origin.</summary>
    public void Draw(SKCanvas canvas, Page page)
    {
        foreach (var item in page.Items)
        {
            switch (item)
            {
                case ImageItem image:
                    Draw(canvas, image);
                    break;

                case BubbleItem bubble:
                    using (var outline = SKPath.ParseSvgPathData(bubble.Outline))
                    using (var line = new SKPaint())
                    {
                        (line.Color, line.IsAntialias, line.Style, line.StrokeWidth) = (Ink, true, SKPaintStyle.Stroke, bubble.Line);
                        line.StrokeJoin = SKStrokeJoin.Round;
                        canvas.DrawPath(outline, paper);
                        canvas.DrawPath(outline, line);
                    }

                    break;

                case TextItem text:
                    Draw(canvas, text);
                    break;
            }
        }
    }

    public void Dispose()
    {
        ink.Dispose();
        paper.Dispose();
    }

    private void Draw(SKCanvas canvas, ImageItem item)
    {
        var image = book.Panels[item.Panel].Image;
        var (wide, high) = ((int)Math.Ceiling(item.Image.Width / 72 * dpi), (int)Math.Ceiling(item.Image.Height / 72 * dpi));
        using var bitmap = (wide > image.Width ? image.Resize(wide, high) : image).ToBitmap();
        using var pixels = SKImage.FromBitmap(bitmap);
        canvas.Save();
        canvas.ClipRect(item.Frame);
        canvas.DrawImage(pixels, item.Image, new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear));
        canvas.Restore();
        if (item.HasBorder)
        {
            using var line = new SKPaint();
            (line.Color, line.IsAntialias, line.Style, line.StrokeWidth) = (Ink, true, SKPaintStyle.Stroke, 0.75f);
            canvas.DrawRect(item.Frame, line);
        }
    }

    private void Draw(SKCanvas canvas, TextItem item)
    {
        foreach (var (i, line) in item.Text.Lines.Index())
        {
            using var builder = new SKTextBlobBuilder();
            foreach (var run in line.Runs)
            {
                using var font = new SKFont(run.Typeface, item.Text.Size);
                (font.Subpixel, font.Hinting, font.Edging) = (true, SKFontHinting.None, SKFontEdging.Antialias);

                // The characters travel along, so that a PDF's text can be searched and copied.
                var utf8 = Encoding.UTF8.GetBytes(run.Text);
                var buffer = builder.AllocateRawPositionedTextRun(font, run.Glyphs.Length, utf8.Length);
                run.Glyphs.CopyTo(buffer.Glyphs);
                run.Points.CopyTo(buffer.Positions);
                utf8.CopyTo(buffer.Text);
                for (var glyph = 0; glyph < run.Clusters.Length; glyph++)
                {
                    buffer.Clusters[glyph] = (uint)Encoding.UTF8.GetByteCount(run.Text.AsSpan(0, run.Clusters[glyph]));
                }
            }

            using var blob = builder.Build();
            if (blob is not null)
            {
                canvas.DrawText(
                    blob, item.Centre - (line.Width / 2), item.Top + item.Text.Ascent + (i * item.Text.LineHeight), ink);
            }
        }
    }
}
