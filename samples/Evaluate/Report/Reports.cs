using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Spectre.Console;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>Writes the results: results.csv (a row for each), summary.json, table.md, plots, report.html; and prints the table.</summary>
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

    /// <summary>Writes what stories cost by length: lengths.md and lengths.csv.</summary>
    public static void Write(OutputFolder folder, IReadOnlyList<LengthRecord> records)
    {
        var text = new StringBuilder("| variant | scenes | seconds | seconds a scene | peak, MiB | grown, MiB |")
            .AppendLine().AppendLine("|---|---:|---:|---:|---:|---:|");
        var csv = new StringBuilder("variant,scenes,seconds,seconds_per_scene,peak_mib,grown_mib").AppendLine();
        foreach (var record in records)
        {
            text.AppendLine(CultureInfo.InvariantCulture,
                $"| {Escaped(record.Variant)} | {record.Scenes} | {record.Seconds:f1} | {record.SecondsPerScene:f2} "
                    + $"| {record.PeakMiB:f0} | {record.GrownMiB:f0} |");
            csv.AppendLine(CultureInfo.InvariantCulture,
                $"{Quoted(record.Variant)},{record.Scenes},{record.Seconds:r},{record.SecondsPerScene:r},{record.PeakMiB:r},"
                    + $"{record.GrownMiB:r}");
        }

        folder.Write("lengths.md", Encoding.UTF8.GetBytes(text.ToString()));
        folder.Write("lengths.csv", Encoding.UTF8.GetBytes(csv.ToString()));
    }

    /// <summary>What stories cost by length.</summary>
    public static Table Table(IReadOnlyList<LengthRecord> records)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("variant");
        foreach (var column in (string[])["scenes", "seconds", "seconds a scene", "peak, MiB", "grown, MiB"])
        {
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        }

        foreach (var record in records)
        {
            string Of(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "does not fit";
            table.AddRow(
                Spectre.Console.Markup.Escape(record.Variant), $"{record.Scenes}",
                Of(record.Seconds, "f1"), Of(record.SecondsPerScene, "f2"), Of(record.PeakMiB, "f0"), Of(record.GrownMiB, "f0"));
        }

        return table;
    }

    public static Table Table(EvaluationSettings settings, IReadOnlyList<StoryRecord> records)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("variant");
        var summaries = VariantSummary.Of(settings.Variants, records);
        var leading = Measure.Leading(summaries);
        foreach (var measure in leading)
        {
            table.AddColumn(new TableColumn(measure.Key).RightAligned().NoWrap());
        }

        foreach (var summary in summaries)
        {
            table.AddRow([Spectre.Console.Markup.Escape(summary.Variant.Name), .. leading.Select(measure =>
                $"{VariantSummary.Text(summary.Figures, measure)} [grey]{VariantSummary.Range(summary.Figures, measure)}[/]")]);
        }

        return table;
    }

    /// <summary>The tables as Markdown.</summary>
    public static string Markdown(IReadOnlyList<VariantSummary> summaries)
    {
        var text = new StringBuilder();
        var leading = Measure.Leading(summaries);
        AppendTable(text, leading, summaries, summary => summary.Figures);
        text.AppendLine().AppendLine("Difference from the plain model, story by story:").AppendLine();
        AppendTable(text, leading, summaries.Where(summary => summary.Changes.Count > 0), summary => summary.Changes);
        return text.ToString();
    }

    private static void AppendTable(
        StringBuilder text, IReadOnlyList<Measure> measures, IEnumerable<VariantSummary> rows,
        Func<VariantSummary, IReadOnlyDictionary<string, Interval>> of)
    {
        text.Append("| variant | ").AppendJoin(" | ", measures.Select(measure => measure.Key)).AppendLine(" |");
        text.Append("|---|").AppendJoin('|', measures.Select(_ => "---:")).AppendLine("|");
        foreach (var summary in rows)
        {
            text.Append($"| {Escaped(summary.Variant.Name)} | ")
                .AppendJoin(" | ",
                    measures.Select(measure =>
                        $"{VariantSummary.Text(of(summary), measure)} "
                            + $"{(VariantSummary.Range(of(summary), measure) is { Length: > 0 } range ? $"({range})" : "")}".TrimEnd()))
                .AppendLine(" |");
        }
    }

    /// <summary>A name as a table's cell shows it: no markup, no further column.</summary>
    private static string Escaped(string name) => Markup().Replace(LineBreak().Replace(name, " "), @"\$0");

    private static string Quoted(string text) => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static string Csv(IReadOnlyList<StoryRecord> records)
    {
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
