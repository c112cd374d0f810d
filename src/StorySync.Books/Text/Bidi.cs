using System.Globalization;
using System.Text;

namespace StorySync.Books;

/// <summary>The order in which the parts of a line of text stand: Unicode's bidirectional algorithm (UAX #9) without embeddings and
/// overrides, which no caption needs.</summary>
internal static class Bidi
{
    private enum Kind
    {
        Neutral,
        Left,
        Right,
        Number,
    }

    /// <summary>Whether a text begins from the right, by its first letter.</summary>
    /// <param name="text">The text.</param>
    /// <param name="otherwise">What a text without letters does.</param>
    public static bool IsRightToLeft(string text, bool otherwise)
    {
        var first = text.EnumerateRunes().Select(KindOf).FirstOrDefault(kind => kind is Kind.Left or Kind.Right);
        return first == Kind.Neutral ? otherwise : first == Kind.Right;
    }

    /// <summary>The parts of a line from left to right, and which way each is read.</summary>
    /// <param name="line">The line, as it is stored.</param>
    /// <param name="rightToLeft">Whether its paragraph begins from the right.</param>
    public static IReadOnlyList<(int Start, int Length, bool RightToLeft)> Parts(string line, bool rightToLeft)
    {
        var levels = Levels(line, rightToLeft);
        var parts = new List<(int Start, int Length, int Level)>();
        for (var i = 0; i < levels.Length; i++)
        {
            if (parts.Count > 0 && parts[^1].Level == levels[i])
            {
                parts[^1] = parts[^1] with { Length = parts[^1].Length + 1 };
            }
            else
            {
                parts.Add((i, 1, levels[i]));
            }
        }

        // Each sequence from the right, with the numbers and words in it, is turned round; those are one part each and stay as they are.
        for (var first = 0; first < parts.Count; first++)
        {
            var last = first;
            while (last < parts.Count && parts[last].Level >= 1)
            {
                last++;
            }

            parts.Reverse(first, last - first);
            first = Math.Max(first, last - 1);
        }

        return [.. parts.Select(part => (part.Start, part.Length, part.Level % 2 == 1))];
    }

    /// <summary>For each UTF-16 character its embedding level, 0 to 2.</summary>
    private static int[] Levels(string line, bool rightToLeft)
    {
        var kinds = Kinds(line);
        var levels = new int[line.Length];
        var start = rightToLeft ? Kind.Right : Kind.Left;

        // A number after letters from the left is one of them.
        var before = start;
        for (var i = 0; i < kinds.Length; i++)
        {
            before = kinds[i] is Kind.Left or Kind.Right ? kinds[i] : before;
            kinds[i] = kinds[i] == Kind.Number && before == Kind.Left ? Kind.Left : kinds[i];
        }

        for (var i = 0; i < kinds.Length; i++)
        {
            if (kinds[i] == Kind.Neutral)
            {
                // Between two of a direction it goes their way, for which a number counts as from the right; else the line's.
                var end = i;
                while (end < kinds.Length && kinds[end] == Kind.Neutral)
                {
                    end++;
                }

                var (left, right) = (Direction(i - 1), Direction(end));
                Array.Fill(kinds, left == right ? left : start, i, end - i);
            }
        }

        for (var i = 0; i < levels.Length; i++)
        {
            levels[i] = kinds[i] switch
            {
                Kind.Right => 1,
                Kind.Number => 2,
                _ => rightToLeft ? 2 : 0,
            };
        }

        return levels;

        Kind Direction(int i) => i < 0 || i >= kinds.Length ? start : kinds[i] == Kind.Number ? Kind.Right : kinds[i];
    }

    private static Kind[] Kinds(string line)
    {
        var kinds = new Kind[line.Length];
        for (var i = 0; i < line.Length;)
        {
            var length = Rune.DecodeFromUtf16(line.AsSpan(i), out var rune, out _) == System.Buffers.OperationStatus.Done
                ? rune.Utf16SequenceLength : 1;
            var isMark = Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark;
            Array.Fill(kinds, isMark && i > 0 ? kinds[i - 1] : KindOf(rune), i, length);
            i += length;
        }

        // "3.5" and "10:30" are one number each.
        for (var i = 1; i + 1 < line.Length; i++)
        {
            if (".,:/".Contains(line[i], StringComparison.Ordinal) && kinds[i - 1] == Kind.Number && kinds[i + 1] == Kind.Number)
            {
                kinds[i] = Kind.Number;
            }
        }

        return kinds;
    }

    private static Kind KindOf(Rune rune) => rune.Value switch
    {
        0x200E => Kind.Left,
        0x200F => Kind.Right,
        _ when Rune.GetUnicodeCategory(rune) == UnicodeCategory.DecimalDigitNumber => Kind.Number,
        (>= 0x0590 and <= 0x08FF) or (>= 0xFB1D and <= 0xFDFF) or (>= 0xFE70 and <= 0xFEFE) or (>= 0x10800 and <= 0x10FFF)
            or (>= 0x1E800 and <= 0x1EFFF) => Rune.IsLetter(rune) ? Kind.Right : Kind.Neutral,
        _ => Rune.IsLetter(rune) ? Kind.Left : Kind.Neutral,
    };
}
