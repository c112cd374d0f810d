using SkiaSharp;

namespace StorySync.Books;

/// <summary>A text that is set: its lines, each of glyphs in their places.</summary>
/// <param name="Lines">The lines.</param>
/// <param name="Size">The font's size in points.</param>
internal sealed record TextBlock(IReadOnlyList<TextLine> Lines, float Size)
{
    /// <summary>From one line to the next.</summary>
    public float LineHeight => Size * 1.3f;

    /// <summary>From the upper edge of a line to where its letters stand.</summary>
    public float Ascent => Size * 1.03f;

    public float Width => Lines.Max(line => line.Width);

    public float Height => Lines.Count * LineHeight;
}

/// <summary>A line of a text.</summary>
/// <param name="Text">The text, as it is stored.</param>
/// <param name="Width">Its width in points.</param>
/// <param name="RightToLeft">Whether it begins from the right.</param>
/// <param name="Runs">The glyphs, from left to right.</param>
internal sealed record TextLine(string Text, float Width, bool RightToLeft, IReadOnlyList<GlyphRun> Runs);

/// <summary>Glyphs of one font.</summary>
/// <param name="Typeface">The font; not owned.</param>
/// <param name="Text">The characters that they are of.</param>
/// <param name="Glyphs">The glyphs.</param>
/// <param name="Clusters">For each glyph the UTF-16 character that it is of.</param>
/// <param name="Points">For each glyph its place from the line's left end, in points.</param>
internal sealed record GlyphRun(SKTypeface Typeface, string Text, ushort[] Glyphs, int[] Clusters, SKPoint[] Points);
