using System.Globalization;
using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// Unicode normalization form C (UAX #15).
/// </summary>
/// <remarks>
/// <see cref="string.Normalize()"/> returns its input unchanged in programs that run with invariant globalization, and a
/// decomposed "é" would silently become other tokens there. So the tables are brought along.
/// </remarks>
internal static class CanonicalComposition
{
    private const char FirstAffected = '\u0300';
    private const int HangulS = 0xAC00, HangulL = 0x1100, HangulV = 0x1161, HangulT = 0x11A7;
    private const int HangulLCount = 19, HangulVCount = 21, HangulTCount = 28, HangulSCount = HangulLCount * HangulVCount * HangulTCount;

    private static readonly Lazy<Tables> Loaded = new(Tables.Read);

    /// <summary>Returns <paramref name="text"/>, which must be well-formed UTF-16, in form C.</summary>
    public static string Compose(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange(FirstAffected, char.MaxValue))
        {
            return text;
        }

        var tables = Loaded.Value;
        var runes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, tables, runes);
        }

        Reorder(runes, tables);
        Recompose(runes, tables);

        var result = new StringBuilder(text.Length);
        Span<char> pair = stackalloc char[2];
        foreach (int rune in runes)
        {
            result.Append(pair[..new Rune(rune).EncodeToUtf16(pair)]);
        }

        return result.ToString();
    }

    private static void Decompose(int rune, Tables tables, List<int> result)
    {
        int syllable = rune - HangulS;
        if ((uint)syllable < HangulSCount)
        {
            result.Add(HangulL + syllable / (HangulVCount * HangulTCount));
            result.Add(HangulV + syllable % (HangulVCount * HangulTCount) / HangulTCount);
            if (syllable % HangulTCount != 0)
            {
                result.Add(HangulT + syllable % HangulTCount);
            }
        }
        else if (tables.Decompositions.TryGetValue(rune, out var parts))
        {
            Decompose(parts.First, tables, result);
            if (parts.Second != 0)
            {
                Decompose(parts.Second, tables, result);
            }
        }
        else
        {
            result.Add(rune);
        }
    }

    /// <summary>Sorts each run of combining marks by combining class, keeping the order of equals.</summary>
    private static void Reorder(List<int> runes, Tables tables)
    {
        for (int start = 0; start < runes.Count; start++)
        {
            if (tables.CombiningClass(runes[start]) == 0)
            {
                continue;
            }

            int end = start + 1;
            while (end < runes.Count && tables.CombiningClass(runes[end]) != 0)
            {
                end++;
            }

            if (end - start > 1)
            {
                var sorted = runes.GetRange(start, end - start).OrderBy(tables.CombiningClass).ToList();
                for (int i = 0; i < sorted.Count; i++)
                {
                    runes[start + i] = sorted[i];
                }
            }
            start = end;
        }
    }

    private static void Recompose(List<int> runes, Tables tables)
    {
        int written = 0, starter = -1, lastClass = 0;
        for (int i = 0; i < runes.Count; i++)
        {
            int rune = runes[i];
            int combiningClass = tables.CombiningClass(rune);
            bool adjacent = starter == written - 1;
            // A mark is blocked from its starter by an earlier mark of the same or a higher class.
            if (starter >= 0 && (adjacent || (lastClass != 0 && lastClass < combiningClass))
                && Pair(runes[starter], rune, tables) is { } composed)
            {
                runes[starter] = composed;
                continue;
            }
            if (combiningClass == 0)
            {
                starter = written;
            }

            lastClass = combiningClass;
            runes[written++] = rune;
        }
        runes.RemoveRange(written, runes.Count - written);
    }

    private static int? Pair(int first, int second, Tables tables)
    {
        int l = first - HangulL, v = second - HangulV;
        if ((uint)l < HangulLCount && (uint)v < HangulVCount)
        {
            return HangulS + (l * HangulVCount + v) * HangulTCount;
        }

        int syllable = first - HangulS, t = second - HangulT;
        if ((uint)syllable < HangulSCount && syllable % HangulTCount == 0 && t is > 0 and < HangulTCount)
        {
            return first + t;
        }

        return tables.Compositions.TryGetValue((first, second), out int composed) ? composed : null;
    }

    private sealed class Tables
    {
        private readonly Dictionary<int, int> classes = [];

        public Dictionary<int, (int First, int Second)> Decompositions { get; } = [];

        public Dictionary<(int First, int Second), int> Compositions { get; } = [];

        public int CombiningClass(int rune) => rune < FirstAffected ? 0 : classes.GetValueOrDefault(rune);

        public static Tables Read()
        {
            var tables = new Tables();
            using var stream = typeof(Tables).Assembly.GetManifestResourceStream("CanonicalDecompositions.txt")!;
            using var reader = new StreamReader(stream);
            while (reader.ReadLine() is { } line)
            {
                if (line.StartsWith('#'))
                {
                    continue;
                }

                int sign = line.IndexOfAny(['=', '>', '.']);
                int rune = Hex(line.AsSpan(0, sign));
                if (line[sign] == '.')
                {
                    tables.AddClass(rune, line.AsSpan(sign + 2));
                }
                else
                {
                    tables.AddDecomposition(rune, line.AsSpan(sign + 1), composes: line[sign] == '=');
                }
            }
            return tables;
        }

        private void AddClass(int first, ReadOnlySpan<char> rest)
        {
            int slash = rest.IndexOf('/');
            int last = Hex(rest[..slash]), combiningClass = int.Parse(rest[(slash + 1)..], CultureInfo.InvariantCulture);
            for (int rune = first; rune <= last; rune++)
            {
                classes.Add(rune, combiningClass);
            }
        }

        private void AddDecomposition(int rune, ReadOnlySpan<char> parts, bool composes)
        {
            int space = parts.IndexOf(' ');
            var pair = space < 0 ? (Hex(parts), 0) : (Hex(parts[..space]), Hex(parts[(space + 1)..]));
            Decompositions.Add(rune, pair);
            if (composes)
            {
                Compositions.Add(pair, rune);
            }
        }

        private static int Hex(ReadOnlySpan<char> digits) =>
            int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }
}
