using System.Globalization;
using System.Text;
using SkiaSharp;
using StorySync.Books;

namespace StorySync.Samples;

/// <summary>Text in the embedded font, and in the system's fonts where that one lacks a character: Chinese, Japanese, Korean,
/// emoji.</summary>
internal sealed class StripText : IDisposable
{
    private const string Ellipsis = "…";

    // Far more than a caption can show; the work grows with the square of what is looked at.
    private const int MostLookedAt = 2000;

    private readonly float size;
    private readonly SKPaint ink = new() { Color = new SKColor(0x33, 0x33, 0x33), IsAntialias = true };
    private readonly SKFont font;
    private readonly Dictionary<int, SKFont> fallbacks = [];

    /// <param name="size">The font's size in pixels.</param>
    public StripText(float size)
    {
        this.size = size;
        using var typeface = BookFonts.LoadEmbedded();
        font = new SKFont(typeface, size);
    }

    public float LineHeight => size * 1.2f;

    /// <summary>Breaks a text into lines at spaces, and within words that are wider than a line.</summary>
    /// <param name="text">The text.</param>
    /// <param name="width">The width of a line in pixels.</param>
    /// <param name="most">The most lines; what does not fit is cut off with an ellipsis.</param>
    public IReadOnlyList<string> Wrap(string text, float width, int most)
    {
        if (text.Length > MostLookedAt)
        {
            text = text[..(char.IsHighSurrogate(text[MostLookedAt - 1]) ? MostLookedAt - 1 : MostLookedAt)];
        }

        var lines = new List<string>();
        var line = "";
        foreach (var word in text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            var longer = line.Length == 0 ? word : $"{line} {word}";
            if (line.Length > 0 && Measure(longer) > width)
            {
                lines.Add(line);
                longer = word;
            }

            while (Measure(longer) > width && Fitting(longer, width) is var fitting && fitting.Length < longer.Length)
            {
                lines.Add(fitting);
                longer = longer[fitting.Length..];
            }

            line = longer;
        }

        lines.Add(line);
        return lines.Count <= most
            ? lines
            : [.. lines.Take(most - 1), Fitting(string.Join(' ', lines.Skip(most - 1)), width - Measure(Ellipsis)).TrimEnd() + Ellipsis];
    }

    /// <summary>Draws one line, centred.</summary>
    public void Draw(SKCanvas canvas, string text, float centre, float baseline)
    {
        var x = centre - (Measure(text) / 2);
        foreach (var (run, own) in Runs(text))
        {
            canvas.DrawText(run, x, baseline, SKTextAlign.Left, own, ink);
            x += own.MeasureText(run);
        }
    }

    public float Measure(string text) => Runs(text).Sum(run => run.Font.MeasureText(run.Text));

    public void Dispose()
    {
        foreach (var other in fallbacks.Values.Where(other => other != font).Distinct())
        {
            other.Dispose();
        }

        font.Dispose();
        ink.Dispose();
    }

    /// <summary>The beginning of a text that fits, at least one character as a reader counts them.</summary>
    private string Fitting(string text, float width)
    {
        var ends = StringInfo.ParseCombiningCharacters(text).Skip(1).Append(text.Length).ToArray();
        var fitting = ends.TakeWhile(end => Measure(text[..end]) <= width).LastOrDefault(ends[0]);
        return text[..fitting];
    }

    private IEnumerable<(string Text, SKFont Font)> Runs(string text)
    {
        var run = new StringBuilder();
        var current = font;
        foreach (var element in Elements(text))
        {
            var own = FontFor(element);
            if (own != current && run.Length > 0)
            {
                yield return (run.ToString(), current);
                run.Clear();
            }

            current = own;
            run.Append(element);
        }

        if (run.Length > 0)
        {
            yield return (run.ToString(), current);
        }
    }

    private static IEnumerable<string> Elements(string text)
    {
        var elements = StringInfo.GetTextElementEnumerator(text);
        while (elements.MoveNext())
        {
            yield return elements.GetTextElement();
        }
    }

    private SKFont FontFor(string element)
    {
        var rune = Rune.GetRuneAt(element, 0).Value;
        if (font.ContainsGlyph(rune))
        {
            return font;
        }

        if (!fallbacks.TryGetValue(rune, out var fallback))
        {
            using var typeface = SystemFonts.Match(rune);
            fallback = typeface is null ? font : fallbacks.Values.FirstOrDefault(known => known.Typeface.FamilyName == typeface.FamilyName)
                ?? new SKFont(typeface, size);
            fallbacks[rune] = fallback;
        }

        return fallback;
    }
}
