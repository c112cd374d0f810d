using SkiaSharp;

namespace StorySync.Books;

/// <summary>The fonts that the system has.</summary>
internal static class SystemFonts
{
    private static readonly string[] Extensions = [".ttf", ".otf", ".ttc"];
    private static readonly string[] Styles = ["Bold", "Italic", "Oblique", "Mono", "Light", "Thin", "Black", "Condensed", "Serif"];

    /// <summary>Finds a font that has a character.</summary>
    /// <param name="character">The Unicode code point.</param>
    /// <returns>A typeface that the caller disposes; null if no font has the character.</returns>
    public static SKTypeface? Match(int character) => SKFontManager.Default.MatchCharacter(character) ?? InFolders(character);

    /// <summary>SkiaSharp's library for Linux without dependencies knows no fonts of the system's, so that their folders are
    /// searched.</summary>
    private static SKTypeface? InFolders(int character)
    {
        foreach (var path in Folders().Where(Directory.Exists).SelectMany(Files).OrderBy(Oddness))
        {
            var typeface = SKTypeface.FromFile(path);
            if (typeface is not null)
            {
                using var font = new SKFont(typeface);
                if (font.ContainsGlyph(character))
                {
                    return typeface;
                }

                typeface.Dispose();
            }
        }

        return null;
    }

    private static IEnumerable<string> Folders()
    {
        if (OperatingSystem.IsLinux())
        {
            var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            return ["/usr/share/fonts", "/usr/local/share/fonts", Path.Combine(home, ".local/share/fonts"), Path.Combine(home, ".fonts")];
        }

        return [];
    }

    private static IEnumerable<string> Files(string folder) => Directory.EnumerateFiles(
            folder, "*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true })
        .Where(path => Extensions.Contains(Path.GetExtension(path).ToLowerInvariant()))
        .Order(StringComparer.Ordinal);

    /// <summary>How far a font is from an upright sans serif, by its file's name.</summary>
    private static int Oddness(string path) =>
        Styles.Count(style => Path.GetFileName(path).Contains(style, StringComparison.OrdinalIgnoreCase));
}
