using System.Globalization;
using System.Net;
using System.Text;
using StorySync.Documents;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>The report as one self-contained page.</summary>
internal sealed class HtmlReport
{
    private readonly StringBuilder page = new();
    private readonly EvaluationSettings settings;
    private readonly OutputFolder folder;
    private readonly IReadOnlyList<VariantSummary> summaries;
    private readonly IReadOnlyList<StoryRecord> records;

    private HtmlReport(
        EvaluationSettings settings, OutputFolder folder, IReadOnlyList<VariantSummary> summaries, IReadOnlyList<StoryRecord> records) =>
        (this.settings, this.folder, this.summaries, this.records) = (settings, folder, summaries, records);

    public static string Write(
        EvaluationSettings settings, OutputFolder folder, IReadOnlyList<VariantSummary> summaries, IReadOnlyList<StoryRecord> records)
    {
        var report = new HtmlReport(settings, folder, summaries, records);
        report.Write();
        return report.page.ToString();
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private void Write()
    {
        page.AppendLine(
            $"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                + $"content=\"width=device-width\"><title>StorySync: evaluation of {Text(settings.Model)}</title>")
            .AppendLine($"<style>{Resource.Text("report.css")}</style><body>")
            .AppendLine($"<h1>Evaluation of {Text(settings.Model)}</h1>");
        WriteNotice();
        WriteTables();
        WritePlots();
        WriteStrips();
        WriteSettings();
        page.AppendLine("</body></html>");
    }

    private void WriteNotice()
    {
        var stories = settings.Stories.Count * settings.Repeats;
        page.AppendLine(CultureInfo.InvariantCulture,
            $"<p>{English.Count(stories, "story")} in {English.Count(settings.Variants.Count, "variant")}, made on "
                + $"{Text(settings.Device)}; images and prompts compared by {Text(settings.Clip)}. Each figure is a mean over stories, "
                + $"below it its 95 % bootstrap interval.</p>");
        if (settings.Model == "storybook")
        {
            page.AppendLine(
                "<p class=\"notice\">These are the figures of a small cartoon model that was trained for this library, taken with its own "
                    + "small evaluator. They show what each technique does; they are not SDXL's, and cannot be compared with published "
                    + "ones. The same command with <code>--model</code> and <code>--clip</code> gives those of another model.</p>");
        }
    }

    private void WriteTables()
    {
        page.AppendLine("<h2>Figures</h2>");
        var leading = Measure.Leading(summaries);
        WriteTable(leading, summaries, summary => summary.Figures);
        VariantSummary[] changed = [.. summaries.Where(summary => summary.Changes.Count > 0)];
        if (changed.Length > 0)
        {
            page.AppendLine(
                "<h3>Difference from the plain model</h3><p>Story by story, so that what makes stories different from each other does not "
                    + "count. An interval without 0 is a difference that these stories show.</p>");
            WriteTable(leading, changed, summary => summary.Changes);
        }

        page.AppendLine("<details><summary>All figures</summary>");
        WriteTable(Measure.All, summaries, summary => summary.Figures);
        page.AppendLine("</details><details><summary>What the figures are</summary><dl>");
        foreach (var measure in Measure.All)
        {
            page.AppendLine(
                $"<dt>{measure.Key}</dt><dd>{Text(measure.Meaning)}{(measure.Better.Length == 0 ? "" : $"; {measure.Better}")}</dd>");
        }

        page.AppendLine("</dl></details>");
    }

    private void WriteTable(
        IReadOnlyList<Measure> measures, IReadOnlyList<VariantSummary> rows, Func<VariantSummary, IReadOnlyDictionary<string, Interval>> of)
    {
        page.Append("<div class=\"wide\"><table><tr><th>variant</th>");
        foreach (var measure in measures)
        {
            page.Append($"<th title=\"{Text(measure.Meaning)}\">{measure.Key}</th>");
        }

        page.AppendLine("</tr>");
        foreach (var summary in rows)
        {
            page.Append($"<tr><td>{Text(summary.Variant.Name)}</td>");
            foreach (var measure in measures)
            {
                page.Append(
                    $"<td>{VariantSummary.Text(of(summary), measure)}<small>{VariantSummary.Range(of(summary), measure)}</small></td>");
            }

            page.AppendLine("</tr>");
        }

        page.AppendLine("</table></div>");
    }

    private void WritePlots()
    {
        page.AppendLine("<h2>Plots</h2><p>Bars are the 95 % intervals; the dashed line is the plain model.</p>");
        var alone = summaries.Where(summary => summary.Variant.Point is null).ToArray();
        if (alone.Length > 1)
        {
            WritePlot("variants", Plots.Dots(Measure.Plotted, alone));
        }

        foreach (var axis in summaries.Select(summary => summary.Variant.Point?.Axis).OfType<string>().Distinct())
        {
            WritePlot(axis, Plots.Lines(axis.StartsWith("damage.", StringComparison.Ordinal) ? Measure.OfGivenMasks
                : Measure.Plotted, axis, summaries));
            if (axis == "scenes")
            {
                WritePlot("scenes, cost", Plots.Lines(Measure.Cost, axis, summaries));
            }
        }
    }

    /// <summary>Into the page, and next to it for use elsewhere.</summary>
    private void WritePlot(string title, byte[] png)
    {
        folder.Write(Path.Combine("plots", RunFolder.Safe(title.Replace(", ", "-", StringComparison.Ordinal)) + ".png"), png);
        page.AppendLine(
            $"<h3>{Text(title)}</h3><img class=\"plot\" alt=\"{Text(title)}\" "
                + $"src=\"data:image/png;base64,{Convert.ToBase64String(png)}\">");
    }

    private void WriteStrips()
    {
        page.AppendLine("<h2>Stories</h2><p class=\"bar\"><label><input type=\"checkbox\" id=\"masks\"> masks over images</label></p>");
        foreach (var (i, story) in records.GroupBy(record => (record.Job.Story, record.Job.Seed)).Index())
        {
            var longest = story.MaxBy(record => record.Job.Prompts.Count)!;
            page.AppendLine(CultureInfo.InvariantCulture,
                $"<details class=\"story\"{(i == 0 ? " open" : "")}><summary>{Text(story.Key.Story)}, seeds {longest.Seeds[0]} to "
                    + $"{longest.Seeds[^1]}</summary>");
            page.Append("<div class=\"wide\"><div class=\"strip captions\"><b></b>");
            foreach (var prompt in longest.Job.Prompts)
            {
                page.Append($"<figure>{Text(prompt)}</figure>");
            }

            page.AppendLine("</div>");
            foreach (var record in story)
            {
                WriteStrip(record);
            }

            page.AppendLine("</div></details>");
        }
    }

    private void WriteStrip(StoryRecord record)
    {
        page.Append($"<div class=\"strip\"><b>{Text(record.Job.Variant)}</b>");
        for (var i = 0; i < record.Job.Prompts.Count; i++)
        {
            page.Append($"<figure><img alt=\"{Text(record.Job.Prompts[i])}\" src=\"{WebImages.Of(record.Image(i))}\">");
            page.Append(record.Region(i) is { } region ? $"<img class=\"mask\" alt=\"\" src=\"{WebImages.Of(region)}\">"
                : "").Append("</figure>");
        }

        page.AppendLine("</div>");
    }

    private void WriteSettings()
    {
        page.AppendLine("<h2>Settings</h2><p>With these, and the seeds above, anyone can make the same images again.</p>");
        page.AppendLine(CultureInfo.InvariantCulture,
            $"<p>Model {Text(settings.Model)}, evaluator {Text(settings.Clip)}, device {Text(settings.Device)}, "
                + $"{settings.Pipeline.Dtype}, first seed {settings.Seed}, each story made "
                + $"{(settings.Repeats == 1 ? "once" : $"{settings.Repeats} times")}.</p>");
        foreach (var variant in settings.Variants)
        {
            page.AppendLine($"<details><summary>{Text(variant.Name)}</summary><pre>{Text(Json.Text(variant))}</pre></details>");
        }
    }
}
