using System.Globalization;
using System.Text;
using SkiaSharp;

namespace StorySync.Books;

/// <summary>Breaks texts into lines and shapes them.</summary>
/// <param name="fonts">The fonts; not owned.</param>
/// <param name="rightToLeft">Whether a text without letters begins from the right.</param>
internal sealed class TextSetter(BookFonts fonts, bool rightToLeft)
{
    /// <summary>Sets a text in lines that are about equally long.</summary>
    /// <param name="text">The text; its line feeds begin new lines.</param>
    /// <param name="size">The font's size in points.</param>
    /// <param name="width">The most that a line can be wide.</param>
    public TextBlock Set(string text, float size, float width)
    {
        var lines = new List<TextLine>();
        foreach (var paragraph in text.Trim().Split('\n'))
        {
            string[] words = [.. paragraph.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).SelectMany(word =>
                Pieces(word, size, width))];
            float[] widths = [.. words.Select(word => Measure(word, size))];
            var space = Measure(" ", size);
            var fewest = Break(widths, space, width).Count;
            var (narrow, wide) = (0f, width);
            for (var i = 0; i < 10; i++)
            {
                var middle = (narrow + wide) / 2;
                (narrow, wide) = widths.All(own => own <= middle) && Break(widths, space, middle).Count <= fewest
                    ? (narrow, middle) : (middle, wide);
            }

            var begins = Bidi.IsRightToLeft(paragraph, rightToLeft);
            lines.AddRange(Break(widths, space, wide).Select(line => Shape(string.Join(' ', words[line]), size, begins)));
        }

        return new TextBlock(lines, size);
    }

    private static List<Range> Break(float[] widths, float space, float width)
    {
        var lines = new List<Range>();
        var (first, length) = (0, 0f);
        for (var i = 0; i < widths.Length; i++)
        {
            if (i > first && length + space + widths[i] > width + 0.01f)
            {
                lines.Add(first..i);
                (first, length) = (i, 0);
            }

            length += (i > first ? space : 0) + widths[i];
        }

        lines.Add(first..widths.Length);
        return lines;
    }

    /// <summary>A word, in as many pieces as it is lines wide.</summary>
    private IEnumerable<string> Pieces(string word, float size, float width)
    {
        // The work must not grow with what is far beyond a line.
        var most = (int)(width / size * 8) + 16;
        while (word.Length > most || Measure(word, size) > width)
        {
            int[] ends = [.. StringInfo.ParseCombiningCharacters(word).Skip(1).Append(word.Length).Take(most)];
            if (ends.Length == 1)
            {
                break;
            }

            var fitting = 1;
            for (var (low, high) = (1, ends.Length - 1); low <= high;)
            {
                var middle = (low + high) / 2;
                if (Measure(word[..ends[middle - 1]], size) <= width)
                {
                    (fitting, low) = (middle, middle + 1);
                }
                else
                {
                    high = middle - 1;
                }
            }

            yield return word[..ends[fitting - 1]];
            word = word[ends[fitting - 1]..];
        }

        yield return word;
    }

    private float Measure(string text, float size) => Shape(text, size, rightToLeft).Width;

    private TextLine Shape(string text, float size, bool begins)
    {
        var runs = new List<GlyphRun>();
        var x = 0f;
        foreach (var (start, length, fromRight) in Bidi.Parts(text, begins))
        {
            var parts = OfOneFont(text.Substring(start, length));
            foreach (var (typeface, part) in fromRight ? parts.AsEnumerable().Reverse() : parts)
            {
                using var font = new SKFont(typeface, size) { Subpixel = true, Hinting = SKFontHinting.None };
                using var buffer = new HarfBuzzSharp.Buffer();
                buffer.AddUtf16(part);
                buffer.GuessSegmentProperties();
                buffer.Direction = fromRight ? HarfBuzzSharp.Direction.RightToLeft : HarfBuzzSharp.Direction.LeftToRight;
                var shaped = fonts.ShaperOf(typeface).Shape(buffer, x, 0, font);
                runs.Add(new GlyphRun(
                    typeface, part, [.. shaped.Codepoints.Select(glyph => (ushort)glyph)], [.. shaped.Clusters.Select(own => (int)own)],
                    shaped.Points));
                x += shaped.Width;
            }
        }

        return new TextLine(text, x, begins, runs);
    }

    private List<(SKTypeface Typeface, string Text)> OfOneFont(string text)
    {
        var runs = new List<(SKTypeface Typeface, string Text)>();
        var elements = StringInfo.GetTextElementEnumerator(text);
        while (elements.MoveNext())
        {
            var element = elements.GetTextElement();
            var typeface = fonts.For(Rune.GetRuneAt(element, 0).Value);
            if (runs.Count > 0 && runs[^1].Typeface == typeface)
            {
                runs[^1] = (typeface, runs[^1].Text + element);
            }
            else
            {
                runs.Add((typeface, element));
            }
        }

        return runs;
    }
}
