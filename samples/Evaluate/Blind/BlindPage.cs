using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using StorySync.Documents;

namespace StorySync.Samples.Evaluate;

/// <summary>A page on which people compare two variants without knowing which is which. It needs no server: answers are saved as a
/// file.</summary>
internal static class BlindPage
{
    private static readonly (string Name, string Text)[] Questions =
    [
        ("consistency", "In which row does the character look more like one and the same?"),
        ("prompt", "Which row shows better what the captions say?"),
        ("quality", "Which row looks better?"),
    ];

    public const string KeyFile = "blind-key.json";

    public static IReadOnlyList<string> QuestionNames { get; } = [.. Questions.Select(question => question.Name)];

    /// <summary>Writes <c>blind.html</c>, and <see cref="KeyFile"/>, which is not to be shown to participants.</summary>
    /// <param name="output">The folder of an evaluation.</param>
    /// <param name="first">A variant.</param>
    /// <param name="second">The variant to compare with it.</param>
    /// <param name="seed">Shuffles stories and rows.</param>
    /// <returns>The page's path.</returns>
    /// <exception cref="UserErrorException">The variants are one.</exception>
    /// <exception cref="UserErrorException">No story is there in both variants, or the key of another page is in the folder.</exception>
    public static string Write(OutputFolder output, string first, string second, int seed)
    {
        if (first == second)
        {
            throw new UserErrorException($"The page compares '{first}' with itself; choose two variants with --first and --second.");
        }

        var folder = new RunFolder(output);
        var (firsts, seconds) = (folder.All(first), folder.All(second));
        var both = firsts.Join(seconds, r => (r.Job.Story, r.Job.Seed), r => (r.Job.Story, r.Job.Seed), (a, b) => (First: a, Second: b))
            .Where(pair => pair.First.Job.Prompts.SequenceEqual(pair.Second.Job.Prompts)).ToArray();
        if (both.Length == 0)
        {
            throw new UserErrorException($"{folder.Root} has no story in both '{first}' and '{second}'; make them first.");
        }

        var random = new Random(seed);
        random.Shuffle(both);
        (BlindPair Key, StoryRecord A, StoryRecord B)[] pairs = [.. both.Select((pair, i) =>
        {
            var (a, b) = random.Next(2) == 0 ? (pair.First, pair.Second) : (pair.Second, pair.First);
            return (new BlindPair($"{i + 1}", a.Job.Story, a.Job.Seed, a.Job.Variant, b.Job.Variant), a, b);
        })];
        var key = new BlindKey(Name(pairs), [.. pairs.Select(pair => pair.Key)]);
        var page = Path.Combine(folder.Root, "blind.html");
        var keyPath = Path.Combine(folder.Root, KeyFile);
        if (File.Exists(keyPath) && Json.Read<BlindKey>(keyPath, "key").Page != key.Page)
        {
            throw new UserErrorException(
                $"{keyPath} is the key of another page, whose answers cannot be scored without it; move it elsewhere first.");
        }

        output.Write(keyPath, Encoding.UTF8.GetBytes(Json.Text(key)));
        output.Write(page, Encoding.UTF8.GetBytes(Html(key.Page, pairs)));
        return page;
    }

    /// <summary>By its content, so that answers cannot be taken for those of another page.</summary>
    private static string Name((BlindPair Key, StoryRecord A, StoryRecord B)[] pairs) => Convert.ToHexStringLower(
        SHA256.HashData(Encoding.UTF8.GetBytes(Json.Text(pairs.Select(pair => new { pair.Key, A = pair.A.Job, B = pair.B.Job })))))[..12];

    private static string Html(string name, (BlindPair Key, StoryRecord A, StoryRecord B)[] pairs)
    {
        var html =
            new StringBuilder(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                    + "content=\"width=device-width\"><title>Which story?</title>\n")
            .AppendLine($"<style>{Resource.Text("report.css")}{Resource.Text("blind.css")}</style><body>")
            .AppendLine("<h1>Which story?</h1>")
            .AppendLine(
                CultureInfo.InvariantCulture,
                    $"<p>There {(pairs.Length == 1 ? "is" : "are")} {English.Count(pairs.Length, "story")}. Each was made twice from the "
                        + $"same captions, in the rows A and B. Compare the rows and answer what you can; there are no right answers. In "
                        + $"the end, save your answers as a file and send it to whoever asked you. Nothing leaves your computer by "
                        + $"itself.</p>")
            .AppendLine($"<form data-page=\"{name}\">");
        foreach (var (key, a, b) in pairs)
        {
            html.Append(FormattableString.Invariant(
                $"<section class=\"pair\"><h2>{key.Id} of {pairs.Length}</h2><div class=\"wide\"><div class=\"strip captions\"><b></b>"));
            foreach (var prompt in a.Job.Prompts)
            {
                html.Append($"<figure>{WebUtility.HtmlEncode(prompt)}</figure>");
            }

            html.AppendLine("</div>");
            AppendRow(html, "A", a);
            AppendRow(html, "B", b);
            html.AppendLine("</div>");
            foreach (var (question, text) in Questions)
            {
                html.Append($"<fieldset><legend>{text}</legend>");
                foreach (var (choice, label) in new[] { ("A", "A"), ("B", "B"), ("same", "no difference") })
                {
                    html.Append($"<label><input type=\"radio\" name=\"{key.Id} {question}\" value=\"{choice}\"> {label}</label>");
                }

                html.AppendLine("</fieldset>");
            }

            html.AppendLine("</section>");
        }

        return html.AppendLine(
            "</form><footer><span id=\"state\">No answers yet</span><button id=\"save\" disabled>Save my answers</button></footer>")
            .Append($"<script>{Resource.Text("blind.js")}</script></body></html>").ToString();
    }

    private static void AppendRow(StringBuilder html, string row, StoryRecord record)
    {
        html.Append($"<div class=\"strip\"><b>{row}</b>");
        for (var i = 0; i < record.Job.Prompts.Count; i++)
        {
            html.Append($"<figure><img alt=\"\" src=\"{WebImages.Of(record.Image(i))}\"></figure>");
        }

        html.AppendLine("</div>");
    }
}
