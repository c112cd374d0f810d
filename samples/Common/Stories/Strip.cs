using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Draws stories above each other, one row per story, one column per scene, captions below; long stories go on further
/// down.</summary>
internal static class Strip
{
    private const int MaxColumns = 5;
    private const int MaxCaptionLines = 3;
    private const int Gap = 12;

    /// <summary>Small images are enlarged to it, by whole factors; large ones are reduced to twice of it.</summary>
    private const int Side = 256;

    public static RgbImage Draw(IReadOnlyList<(string Title, IReadOnlyList<SceneResult> Scenes)> rows) =>
        Draw([.. rows.Select(row => (row.Title, (IReadOnlyList<RgbImage>)[.. row.Scenes.Select(scene => scene.Image)]))],
            [.. rows[0].Scenes.Select(scene => scene.Scene.Prompt)]);

    /// <param name="rows">For each story its title and its images, all of one size.</param>
    /// <param name="captions">For each scene its caption.</param>
    public static RgbImage Draw(IReadOnlyList<(string Title, IReadOnlyList<RgbImage> Images)> rows, IReadOnlyList<string> captions)
    {
        var image = rows[0].Images[0];
        var longest = Math.Max(image.Width, image.Height);
        var scale = longest <= Side ? Side / longest : Math.Min(1, 2.0 * Side / longest);
        var (width, height) = (Math.Max(1, (int)(image.Width * scale)), Math.Max(1, (int)(image.Height * scale)));
        var bands = (captions.Count + MaxColumns - 1) / MaxColumns;
        var columns = (captions.Count + bands - 1) / bands;

        var size = Math.Clamp(width * 15f / Side, 13, 26);
        using var captionText = new StripText(size);
        using var titleText = new StripText(size * 1.2f);
        var lines = captions.Select(caption => captionText.Wrap(caption, width, MaxCaptionLines)).ToArray();
        var captionHeight = (int)Math.Ceiling((lines.Max(own => own.Count) * captionText.LineHeight) + Gap);
        var titleWidth = (int)Math.Ceiling(titleText.LineHeight) + Gap;
        var bandHeight = (rows.Count * (height + Gap)) + captionHeight;

        using var bitmap = new SKBitmap(new SKImageInfo(
            titleWidth + (columns * (width + Gap)), Gap + (bands * bandHeight), SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(bitmap);
        canvas.Clear(SKColors.White);
        for (var band = 0; band < bands; band++)
        {
            var top = Gap + (band * bandHeight);
            for (var r = 0; r < rows.Count; r++)
            {
                canvas.Save();
                canvas.Translate(titleWidth - Gap, top + (r * (height + Gap)) + (height / 2));
                canvas.RotateDegrees(-90);
                titleText.Draw(canvas, rows[r].Title, 0, 0);
                canvas.Restore();
            }

            for (var i = band * columns; i < Math.Min((band + 1) * columns, captions.Count); i++)
            {
                var left = titleWidth + ((i - (band * columns)) * (width + Gap));
                for (var r = 0; r < rows.Count; r++)
                {
                    // Reducing by SkiaSharp would leave out pixels; the library's own filter does not.
                    using var cell = (scale < 1 ? rows[r].Images[i].Resize(width, height) : rows[r].Images[i]).ToBitmap();
                    canvas.DrawBitmap(
                        cell, SKRect.Create(left, top + (r * (height + Gap)), width, height),
                            new SKSamplingOptions(SKFilterMode.Linear));
                }

                var baseline = top + (rows.Count * (height + Gap)) + size;
                foreach (var line in lines[i])
                {
                    captionText.Draw(canvas, line, left + (width / 2f), baseline);
                    baseline += captionText.LineHeight;
                }
            }
        }

        canvas.Flush();
        return RgbImage.FromBitmap(bitmap);
    }
}
