using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Draws stories above each other: a row a story, a column a scene, captions below.</summary>
internal static class Strip
{
    private const int Side = 256;
    private const int Gap = 12;
    private const int CaptionHeight = 40;
    private const int TitleWidth = 44;

    public static RgbImage Draw(IReadOnlyList<(string Title, StoryResult Story)> rows)
    {
        var scenes = rows[0].Story.Scenes;
        var first = scenes[0].Image;
        var scale = Math.Max(1, Side / Math.Max(first.Width, first.Height));
        var (cellWidth, cellHeight) = (first.Width * scale, first.Height * scale);
        using var bitmap = new SKBitmap(new SKImageInfo(
            TitleWidth + (scenes.Count * (cellWidth + Gap)), Gap + (rows.Count * (cellHeight + Gap)) + CaptionHeight, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(bitmap);
        using var typeface = SKTypeface.FromStream(typeof(Strip).Assembly.GetManifestResourceStream("Roboto-Regular.ttf")!);
        using var font = new SKFont(typeface, size: 15);
        using var titleFont = new SKFont(typeface, size: 18);
        using var ink = new SKPaint { Color = new SKColor(0x33, 0x33, 0x33), IsAntialias = true };
        canvas.Clear(SKColors.White);

        for (var r = 0; r < rows.Count; r++)
        {
            var top = Gap + (r * (cellHeight + Gap));
            canvas.Save();
            canvas.Translate(TitleWidth - 16, top + (cellHeight / 2));
            canvas.RotateDegrees(-90);
            canvas.DrawText(rows[r].Title, 0, 0, SKTextAlign.Center, titleFont, ink);
            canvas.Restore();
            for (var i = 0; i < scenes.Count; i++)
            {
                using var picture = rows[r].Story.Scenes[i].Image.ToBitmap();
                var left = TitleWidth + (i * (cellWidth + Gap));
                canvas.DrawBitmap(picture, SKRect.Create(left, top, cellWidth, cellHeight), new SKSamplingOptions(SKFilterMode.Linear));
            }
        }

        for (var i = 0; i < scenes.Count; i++)
        {
            var left = TitleWidth + (i * (cellWidth + Gap));
            var baseline = Gap + (rows.Count * (cellHeight + Gap)) + font.Size;
            foreach (var line in Wrap(scenes[i].Scene.Prompt, font, cellWidth).Take(2))
            {
                canvas.DrawText(line, left + (cellWidth / 2f), baseline, SKTextAlign.Center, font, ink);
                baseline += font.Size + 3;
            }
        }

        canvas.Flush();
        return RgbImage.FromBitmap(bitmap);
    }

    private static IEnumerable<string> Wrap(string text, SKFont font, float width)
    {
        var line = "";
        foreach (var word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var longer = line.Length == 0 ? word : $"{line} {word}";
            if (line.Length > 0 && font.MeasureText(longer) > width)
            {
                yield return line;
                longer = word;
            }

            line = longer;
        }

        yield return line;
    }
}
