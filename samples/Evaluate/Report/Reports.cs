using System.Globalization;
using System.Text;
using Spectre.Console;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>Writes what was found: results.csv (a row a story), summary.json, table.md, plots, report.html; and prints the table.</summary>
internal static class Reports
{
    public static string Write(EvaluationSettings settings, IReadOnlyList<StoryRecord> records)
    {
        var summaries = VariantSummary.Of(settings.Variants, records);
        WholeFile.Write(Path.Combine(settings.Output, "results.csv"), Csv(records));
        WholeFile.Write(Path.Combine(settings.Output, "summary.json"), Json.Text(new
        {
            settings.Model,
            settings.Clip,
            settings.Pipeline.Device,
            Dtype = settings.Pipeline.Dtype.ToString(),
            Stories = settings.Stories.Select(story => story.Name),
            settings.Scenes,
            settings.Seed,
            settings.Repeats,
            Variants = summaries.Select(summary => new { summary.Variant, summary.Figures, summary.Changes }),
        }));
        WholeFile.Write(Path.Combine(settings.Output, "table.md"), Markdown(summaries));
        var report = Path.Combine(settings.Output, "report.html");
        WholeFile.Write(report, HtmlReport.Write(settings, summaries, records));
        return report;
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
            table.AddRow([Markup.Escape(summary.Variant.Name), .. Measure.Main.Select(measure => $"{VariantSummary.Text(summary.Figures, measure)} [grey]{VariantSummary.Range(summary.Figures, measure)}[/]")]);
        }

        return table;
    }

    private static string Markdown(IReadOnlyList<VariantSummary> summaries)
    {
        var text = new StringBuilder();
        AppendTable(text, summaries, summary => summary.Figures);
        text.AppendLine().AppendLine("Difference from the plain model, story by story:").AppendLine();
        AppendTable(text, summaries.Where(summary => summary.Changes.Count > 0), summary => summary.Changes);
        return text.ToString();
    }

    private static void AppendTable(StringBuilder text, IEnumerable<VariantSummary> rows, Func<VariantSummary, IReadOnlyDictionary<string, Interval>> of)
    {
        text.Append("| variant | ").AppendJoin(" | ", Measure.Main.Select(measure => measure.Key)).AppendLine(" |");
        text.Append("|---|").AppendJoin('|', Measure.Main.Select(_ => "---:")).AppendLine("|");
        foreach (var summary in rows)
        {
            text.Append($"| {summary.Variant.Name} | ")
                .AppendJoin(" | ", Measure.Main.Select(measure => $"{VariantSummary.Text(of(summary), measure)} {(VariantSummary.Range(of(summary), measure) is { Length: > 0 } range ? $"({range})" : "")}".TrimEnd()))
                .AppendLine(" |");
        }
    }

    private static string Csv(IReadOnlyList<StoryRecord> records)
    {
        static string Quoted(string text) => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
        var csv = new StringBuilder("variant,story,seed,scenes,").AppendJoin(',', Measure.All.Select(measure => measure.Key)).AppendLine();
        foreach (var record in records)
        {
            csv.Append(CultureInfo.InvariantCulture, $"{Quoted(record.Job.Variant)},{Quoted(record.Job.Story)},{record.Job.Seed},{record.Job.Prompts.Count},")
                .AppendJoin(',', Measure.All.Select(measure => measure.Of(record)?.ToString("r", CultureInfo.InvariantCulture)))
                .AppendLine();
        }

        return csv.ToString();
    }
}
