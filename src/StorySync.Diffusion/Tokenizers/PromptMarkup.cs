using System.Buffers;
using System.Globalization;
using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>The syntax of weights in prompts, as AUTOMATIC1111's web UI has it.</summary>
internal static partial class PromptMarkup
{
    private const double Step = 1.1;
    private const int MaxDepth = 100;

    private static readonly SearchValues<char> Marks = SearchValues.Create(@"\()[]:");

    /// <summary>Returns a text without its marks.</summary>
    /// <exception cref="ArgumentException">A weight is too large, or brackets are nested too deep.</exception>
    public static string WordsOf(string text) =>
        string.Concat(Parse(text).Select(segment => segment.BeginsChunk ? " " + segment.Text : segment.Text));

    /// <summary>Returns a value indicating whether a text has a weight that is written as a number.</summary>
    public static bool HasWeights(string text) => NumberedGroup().IsMatch(text);

    /// <summary>Returns a prompt's pieces.</summary>
    /// <exception cref="ArgumentException">A weight is too large, or brackets are nested too deep.</exception>
    public static IReadOnlyList<PromptSegment> Parse(string prompt)
    {
        var pieces = new List<PromptSegment>();
        var (round, square) = (new Stack<int>(), new Stack<int>());
        for (var at = 0; at < prompt.Length;)
        {
            var end = at + 1;
            switch (prompt[at])
            {
                case '\\':
                    end = at + 1 < prompt.Length && @"\()[]".Contains(prompt[at + 1], StringComparison.Ordinal) ? at + 2 : end;
                    Append(prompt[(at + 1)..end]);
                    break;
                case '(':
                    Open(round);
                    break;
                case '[':
                    Open(square);
                    break;
                case ')' when round.Count > 0:
                    Close(round, Step);
                    break;
                case ']' when square.Count > 0:
                    Close(square, 1 / Step);
                    break;
                case ':' when round.Count > 0 && GroupEnd(prompt, at) is { } group:
                    Close(round, group.Weight);
                    end = group.End;
                    break;
                default:
                    end = prompt.AsSpan(end).IndexOfAny(Marks) is >= 0 and var length ? end + length : prompt.Length;
                    AppendWords(prompt[at..end]);
                    break;
            }

            at = end;
        }

        while (round.Count > 0)
        {
            Close(round, Step);
        }

        while (square.Count > 0)
        {
            Close(square, 1 / Step);
        }

        return Merge(pieces);

        void Append(string text, bool beginsChunk = false) => pieces.Add(new PromptSegment(text, 1, beginsChunk));

        void AppendWords(string text)
        {
            var parts = Break().Split(text);
            foreach (var (i, part) in parts.Index())
            {
                var begun = i > 0 ? part.TrimStart() : part;
                Append(i < parts.Length - 1 ? begun.TrimEnd() : begun, beginsChunk: i > 0);
            }
        }

        void Open(Stack<int> brackets)
        {
            if (brackets.Count == MaxDepth)
            {
                throw new ArgumentException(
                    $"A prompt has more than {MaxDepth} brackets one in another; write a weight as \"(word:1.3)\", and brackets that are "
                        + $"text as \"\\(\" and \"\\[\": \"{Start(prompt)}\".");
            }

            brackets.Push(pieces.Count);
        }

        void Close(Stack<int> brackets, double factor)
        {
            for (var i = brackets.Pop(); i < pieces.Count; i++)
            {
                var weight = pieces[i].Weight * factor;
                pieces[i] = float.IsFinite((float)weight)
                    ? pieces[i] with { Weight = weight }
                    : throw new ArgumentException(
                        $"A prompt has a weight that is too large for \"{pieces[i].Text}\": \"{Start(prompt)}\".");
            }
        }
    }

    /// <summary>Joins neighbors of one weight, so that a word with an escaped bracket in it is read as one.</summary>
    private static List<PromptSegment> Merge(List<PromptSegment> pieces)
    {
        var merged = new List<PromptSegment>();
        var texts = new List<string>();
        foreach (var piece in pieces)
        {
            if (merged.Count == 0 || piece.BeginsChunk || piece.Weight != merged[^1].Weight)
            {
                Complete();
                merged.Add(piece);
            }

            texts.Add(piece.Text);
        }

        Complete();
        return merged;

        void Complete()
        {
            if (texts.Count > 0)
            {
                merged[^1] = merged[^1] with { Text = string.Concat(texts) };
                texts.Clear();
            }
        }
    }

    /// <summary>The weight of a group and where the group ends, where a colon, a number and a bracket end one.</summary>
    private static (double Weight, int End)? GroupEnd(string prompt, int colon)
    {
        var number = Skip(prompt, colon + 1, char.IsWhiteSpace);
        var after = Skip(prompt, number, c => char.IsAsciiDigit(c) || c is '.' or '+' or '-');
        var bracket = Skip(prompt, after, char.IsWhiteSpace);
        return bracket < prompt.Length && prompt[bracket] == ')'
            && double.TryParse(prompt[number..after], NumberStyles.Float, CultureInfo.InvariantCulture, out var weight)
                ? (weight, bracket + 1) : null;
    }

    private static int Skip(string text, int at, Func<char, bool> skips)
    {
        while (at < text.Length && skips(text[at]))
        {
            at++;
        }

        return at;
    }

    private static string Start(string prompt) => prompt.Length <= 100 ? prompt : $"{prompt[..100]}…";

    [GeneratedRegex(@"\([^():]+:[ ]?[0-9]*\.?[0-9]+[ ]?\)")]
    private static partial Regex NumberedGroup();

    [GeneratedRegex(@"\bBREAK\b")]
    private static partial Regex Break();
}
