using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Spectre.Console;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>Writes what was found: results.csv (a row a story), summary.json, table.md, plots, report.html; and prints the table.</summary>
internal static partial class Reports
{
    public static string Write(EvaluationSettings settings, OutputFolder folder, IReadOnlyList<StoryRecord> records)
    {
        var summaries = VariantSummary.Of(settings.Variants, records);
        folder.Write("results.csv", Encoding.UTF8.GetBytes(Csv(records)));
        folder.Write("summary.json", Encoding.UTF8.GetBytes(Json.Text(new
        {
            settings.Model,
            settings.Clip,
            settings.Device,
            Dtype = settings.Pipeline.Dtype.ToString(),
            Stories = settings.Stories.Select(story => story.Name),
            settings.Scenes,
            settings.Seed,
            settings.Repeats,
            Variants = summaries.Select(summary => new { summary.Variant, summary.Figures, summary.Changes }),
        })));
        folder.Write("table.md", Encoding.UTF8.GetBytes(Markdown(summaries)));
        folder.Write("report.html", Encoding.UTF8.GetBytes(HtmlReport.Write(settings, folder, summaries, records)));
        return Path.Combine(folder.Path, "report.html");
    }

    public static Table Table(EvaluationSettings settings, IReadOnlyList<StoryRecord> records)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("variant");
        foreach (var measure in Measure.Main)
        {
            table.AddColumn(new TableColumn(measure.Key).RightAligned().NoWrap());
        }

        foreach (var summary in VariantSummary.Of(settings.Variants, records))
        {
            table.AddRow([Spectre.Console.Markup.Escape(summary.Variant.Name), .. Measure.Main.Select(measure =>
                $"{VariantSummary.Text(summary.Figures, measure)} [grey]{VariantSummary.Range(summary.Figures, measure)}[/]")]);
        }

        return table;
    }

    /// <summary>The tables as Markdown.</summary>
    public static string Markdown(IReadOnlyList<VariantSummary> summaries)
    {
        var text = new StringBuilder();
        AppendTable(text, summaries, summary => summary.Figures);
        text.AppendLine().AppendLine("Difference from the plain model, story by story:").AppendLine();
        AppendTable(text, summaries.Where(summary => summary.Changes.Count > 0), summary => summary.Changes);
        return text.ToString();
    }

    private static void AppendTable(StringBuilder text, IEnumerable<VariantSummary> rows, Func<VariantSummary, IReadOnlyDictionary<string,
        Interval>> of)
    {
        text.Append("| variant | ").AppendJoin(" | ", Measure.Main.Select(measure => measure.Key)).AppendLine(" |");
        text.Append("|---|").AppendJoin('|', Measure.Main.Select(_ => "---:")).AppendLine("|");
        foreach (var summary in rows)
        {
            text.Append($"| {Escaped(summary.Variant.Name)} | ")
                .AppendJoin(" | ",
                    Measure.Main.Select(measure =>
                        $"{VariantSummary.Text(of(summary), measure)} "
                            + $"{(VariantSummary.Range(of(summary), measure) is { Length: > 0 } range ? $"({range})" : "")}".TrimEnd()))
                .AppendLine(" |");
        }
    }

    /// <summary>A name as a table's cell shows it: no markup, no further column.</summary>
    private static string Escaped(string name) => Markup().Replace(LineBreak().Replace(name, " "), @"\$0");

    private static string Csv(IReadOnlyList<StoryRecord> records)
    {
        static string Quoted(string text) => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
        var csv = new StringBuilder("variant,story,seed,scenes,").AppendJoin(',', Measure.All.Select(measure => measure.Key)).AppendLine();
        foreach (var record in records)
        {
            csv.Append(CultureInfo.InvariantCulture,
                $"{Quoted(record.Job.Variant)},{Quoted(record.Job.Story)},{record.Job.Seed},{record.Job.Prompts.Count},")
                .AppendJoin(',', Measure.All.Select(measure => measure.Of(record)?.ToString("r", CultureInfo.InvariantCulture)))
                .AppendLine();
        }

        return csv.ToString();
    }

    [GeneratedRegex(@"[\\`*_{}\[\]<>()#+!|~&]")]
    private static partial Regex Markup();

    [GeneratedRegex(@"[\r\n\t]+")]
    private static partial Regex LineBreak();
}
