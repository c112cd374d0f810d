using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace StorySync.Books;

/// <summary>Adds to a PDF of Skia's what it has no words for: where pages are cut, and a name that depends on the content instead of the
/// time.</summary>
internal static partial class PdfFinish
{
    private const int EntryLength = 20;

    /// <summary>Finishes a file.</summary>
    /// <param name="pdf">The file, as Skia wrote it.</param>
    /// <param name="bleed">How far pages go on beyond where they are cut, in points.</param>
    public static byte[] Apply(byte[] pdf, float bleed)
    {
        // Each byte a character, so that places are the file's.
        var text = Encoding.Latin1.GetString(pdf);
        var end = End().Match(text);
        var table = int.Parse(end.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        var header = TableHeader().Match(text, table);
        var (count, entries) = (int.Parse(header.Groups[1].ValueSpan, CultureInfo.InvariantCulture), table + header.Length);
        int[] offsets = [.. Enumerable.Range(0, count).Select(i =>
            int.Parse(text.AsSpan(entries + (i * EntryLength), 10), CultureInfo.InvariantCulture))];

        var written = new StringBuilder(text.Length + (count * 100));
        var objects = Enumerable.Range(1, count - 1).OrderBy(i => offsets[i]).ToArray();
        var moved = new int[count];
        written.Append(text, 0, offsets[objects[0]]);
        foreach (var (i, number) in objects.Index())
        {
            var next = i + 1 < objects.Length ? offsets[objects[i + 1]] : table;
            var start = offsets[number];
            moved[number] = written.Length;
            var page = PageObject().Match(text[start..Math.Min(next, start + 400)]);
            if (page.Success)
            {
                var sides = page.Groups[2].Value.Split(' ').Select(side => double.Parse(side, CultureInfo.InvariantCulture)).ToArray();
                written.Append(text, start, page.Groups[1].Index)
                    .Append(
                        CultureInfo.InvariantCulture,
                        $"/TrimBox [{bleed:0.##} {bleed:0.##} {sides[0] - bleed:0.##} {sides[1] - bleed:0.##}]\n")
                    .Append(CultureInfo.InvariantCulture, $"/BleedBox [0 0 {page.Groups[2].Value}]\n");
                start += page.Groups[1].Index;
            }

            written.Append(text, start, next - start);
        }

        var newTable = written.Length;
        written.Append(text, table, entries + EntryLength - table);
        for (var i = 1; i < count; i++)
        {
            written.Append(CultureInfo.InvariantCulture, $"{moved[i]:D10}")
                .Append(text, entries + (i * EntryLength) + 10, EntryLength - 10);
        }

        var trailer = entries + (count * EntryLength);
        written.Append(text, trailer, end.Groups[1].Index - trailer).Append(newTable.ToString(CultureInfo.InvariantCulture))
            .Append("\n%%EOF\n");
        return Encoding.Latin1.GetBytes(Named(written.ToString()));
    }

    /// <summary>The file with a name of its own in place of the one that Skia makes of the time.</summary>
    private static string Named(string text)
    {
        if (NameInTrailer().Match(text) is not { Success: true } trailer)
        {
            return text;
        }

        var old = Guid.Parse(trailer.Groups[1].ValueSpan);
        var blank = Replaced(text, old, Guid.Empty);
        return Replaced(blank, Guid.Empty, BookIdentity.FromHash(SHA256.HashData(Encoding.Latin1.GetBytes(blank))));

        static string Replaced(string text, Guid old, Guid other) => text
            .Replace($"uuid:{old:D}", $"uuid:{other:D}", StringComparison.Ordinal)
            .Replace($"<{old:N}>".ToUpperInvariant(), $"<{other:N}>".ToUpperInvariant(), StringComparison.Ordinal);
    }

    [GeneratedRegex(@"startxref\s+(\d+)\s+%%EOF\s*\z", RegexOptions.RightToLeft)]
    private static partial Regex End();

    [GeneratedRegex(@"\Gxref\s+0 (\d+)\s*\n")]
    private static partial Regex TableHeader();

    [GeneratedRegex(@"\A\d+ 0 obj\s+<</Type /Page\s.*?(?=(/MediaBox) \[0 0 ([\d.]+ [\d.]+)\])", RegexOptions.Singleline)]
    private static partial Regex PageObject();

    [GeneratedRegex(@"/ID \[<([0-9A-F]{32})>", RegexOptions.RightToLeft)]
    private static partial Regex NameInTrailer();
}
