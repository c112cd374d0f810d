using System.Globalization;
using SkiaSharp;
using SkiaSharp.HarfBuzz;

namespace StorySync.Books;

/// <summary>The fonts of a book: an embedded one, and the system's where that one lacks a character.</summary>
internal sealed class BookFonts : IDisposable
{
    private readonly SKTypeface embedded = LoadEmbedded();
    private readonly Dictionary<int, SKTypeface?> fallbacks = [];
    private readonly Dictionary<SKTypeface, SKShaper> shapers = [];
    private readonly SortedSet<int> missing = [];

    /// <summary>The embedded font's file.</summary>
    public static byte[] EmbeddedFile()
    {
        using var stream = OpenEmbedded();
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        return memory.ToArray();
    }

    /// <summary>Loads the embedded font, for the caller to dispose.</summary>
    public static SKTypeface LoadEmbedded()
    {
        using var stream = OpenEmbedded();
        return SKTypeface.FromStream(stream);
    }

    /// <summary>The font that draws a character; the embedded one where none has it.</summary>
    /// <param name="character">The Unicode code point.</param>
    public SKTypeface For(int character)
    {
        if (Has(embedded, character))
        {
            return embedded;
        }

        if (!fallbacks.TryGetValue(character, out var found))
        {
            found = SystemFonts.Match(character);
            if (found is null)
            {
                missing.Add(character);
            }
            else if (fallbacks.Values.FirstOrDefault(known => known?.FamilyName == found.FamilyName && Has(known, character))
                is { } known)
            {
                found.Dispose();
                found = known;
            }

            fallbacks[character] = found;
        }

        return found ?? embedded;
    }

    /// <summary>Refuses a book some of whose characters no font has.</summary>
    /// <exception cref="InvalidOperationException">It is one.</exception>
    public void CheckAll()
    {
        if (missing.Count > 0)
        {
            throw new InvalidOperationException(
                $"No font of this system has {string.Join(", ", missing.Take(5).Select(Name))}, which the book's texts have; install one "
                    + "that has, or write EPUB or HTML, whose readers bring fonts of their own.");
        }

        static string Name(int character) => string.Create(
            CultureInfo.InvariantCulture, $"'{char.ConvertFromUtf32(character)}' (U+{character:X4})");
    }

    /// <summary>What turns characters of a font into glyphs.</summary>
    public SKShaper ShaperOf(SKTypeface typeface)
    {
        if (!shapers.TryGetValue(typeface, out var shaper))
        {
            shapers[typeface] = shaper = new SKShaper(typeface);
        }

        return shaper;
    }

    public void Dispose()
    {
        foreach (var shaper in shapers.Values)
        {
            shaper.Dispose();
        }

        foreach (var typeface in fallbacks.Values.Distinct())
        {
            typeface?.Dispose();
        }

        embedded.Dispose();
    }

    private static bool Has(SKTypeface typeface, int character)
    {
        using var font = new SKFont(typeface);
        return font.ContainsGlyph(character);
    }

    private static Stream OpenEmbedded() => typeof(BookFonts).Assembly.GetManifestResourceStream("Roboto-Regular.ttf")!;
}
