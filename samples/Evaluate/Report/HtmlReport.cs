using System.Globalization;
using System.Net;
using System.Text;

namespace StorySync.Samples.Evaluate;

/// <summary>The report as one page that needs nothing beside it.</summary>
internal sealed class HtmlReport
{
    private readonly StringBuilder page = new();
    private readonly EvaluationSettings settings;
    private readonly IReadOnlyList<VariantSummary> summaries;
    private readonly IReadOnlyList<StoryRecord> records;

    private HtmlReport(EvaluationSettings settings, IReadOnlyList<VariantSummary> summaries, IReadOnlyList<StoryRecord> records) =>
        (this.settings, this.summaries, this.records) = (settings, summaries, records);

    public static string Write(EvaluationSettings settings, IReadOnlyList<VariantSummary> summaries, IReadOnlyList<StoryRecord> records)
    {
        var report = new HtmlReport(settings, summaries, records);
        report.Write();
        return report.page.ToString();
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private void Write()
    {
        page.AppendLine($"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>StorySync: evaluation of {Text(settings.Model)}</title>")
            .AppendLine($"<style>{Resource.Text("report.css")}</style><body>")
            .AppendLine($"<h1>Evaluation of {Text(settings.Model)}</h1>");
        WriteNotice();
        WriteTable();
        WritePlots();
        WriteStrips();
        WriteSettings();
        page.AppendLine("</body></html>");
    }

    private void WriteNotice()
    {
        var stories = settings.Stories.Count * settings.Repeats;
        page.AppendLine(CultureInfo.InvariantCulture, $"<p>{stories} stories in {settings.Variants.Count} variants; pictures and prompts compared by {Text(settings.Clip)}. Each figure is a mean over stories, below it its 95 % bootstrap interval.</p>");
        if (settings.Model == "storybook")
        {
            page.AppendLine("<p class=\"notice\">These are the figures of a small cartoon model that was trained for this library, taken with its own small evaluator. They show what each technique does; they are not SDXL's, and cannot be compared with published ones. The same command with <code>--model</code> and <code>--clip</code> gives those of another model.</p>");
        }
    }

    private void WriteTable()
    {
        page.Append("<h2>Figures</h2><div class=\"wide\"><table><tr><th>variant</th>");
        foreach (var measure in Measure.All)
        {
            page.Append($"<th title=\"{Text(measure.Meaning)}\">{measure.Key}</th>");
        }

        page.AppendLine("</tr>");
        foreach (var summary in summaries)
        {
            page.Append($"<tr><td>{Text(summary.Variant.Name)}</td>");
            foreach (var measure in Measure.All)
            {
                page.Append($"<td>{summary.Text(measure)}<small>{summary.Range(measure)}</small></td>");
            }

            page.AppendLine("</tr>");
        }

        page.AppendLine("</table></div><details><summary>What the figures are</summary><dl>");
        foreach (var measure in Measure.All)
        {
            page.Append($"<dt><b>{measure.Key}</b></dt><dd>{Text(measure.Meaning)}</dd>");
        }

        page.AppendLine("</dl></details>");
    }

    private void WritePlots()
    {
        var alone = summaries.Where(summary => summary.Variant.Point is null).ToArray();
        if (alone.Length > 1)
        {
            page.AppendLine("<h2>Variants</h2><div class=\"plots\">");
            foreach (var measure in Measure.Plotted)
            {
                WritePlot($"{measure.Key} by variant", Plots.Dots(measure, alone));
            }

            page.AppendLine("</div>");
        }

        foreach (var axis in summaries.Select(summary => summary.Variant.Point?.Axis).OfType<string>().Distinct())
        {
            page.AppendLine($"<h2>{Text(axis)}</h2><div class=\"plots\">");
            foreach (var measure in axis == "scenes" ? [.. Measure.Plotted, Measure.Seconds, Measure.Memory] : Measure.Plotted)
            {
                WritePlot($"{measure.Key} over {axis}", Plots.Lines(measure, axis, summaries));
            }

            page.AppendLine("</div>");
        }
    }

    /// <summary>Into the page, and beside it for use elsewhere.</summary>
    private void WritePlot(string title, byte[] png)
    {
        var folder = Directory.CreateDirectory(Path.Combine(settings.Output, "plots"));
        File.WriteAllBytes(Path.Combine(folder.FullName, title.Replace(' ', '-') + ".png"), png);
        page.AppendLine($"<img alt=\"{Text(title)}\" src=\"data:image/png;base64,{Convert.ToBase64String(png)}\">");
    }

    private void WriteStrips()
    {
        page.AppendLine("<h2>Stories</h2><p class=\"bar\"><label><input type=\"checkbox\" id=\"masks\"> masks over pictures</label></p>");
        foreach (var story in records.GroupBy(record => (record.Job.Story, record.Job.Seed)))
        {
            var longest = story.MaxBy(record => record.Job.Prompts.Count)!;
            page.AppendLine(CultureInfo.InvariantCulture, $"<h3>{Text(story.Key.Story)}, seeds {longest.Seeds[0]} to {longest.Seeds[^1]}</h3><div class=\"wide\"><div class=\"strip captions\"><b></b>");
            foreach (var prompt in longest.Job.Prompts)
            {
                page.Append($"<figure>{Text(prompt)}</figure>");
            }

            page.AppendLine("</div>");
            foreach (var record in story)
            {
                page.Append($"<div class=\"strip\"><b>{Text(record.Job.Variant)}</b>");
                for (var i = 0; i < record.Job.Prompts.Count; i++)
                {
                    page.Append($"<figure><img alt=\"{Text(record.Job.Prompts[i])}\" src=\"{WebPictures.Of(record.Picture(i))}\">");
                    page.Append(record.Region(i) is { } region ? $"<img class=\"mask\" alt=\"\" src=\"{WebPictures.Of(region)}\">" : "").Append("</figure>");
                }

                page.AppendLine("</div>");
            }

            page.AppendLine("</div>");
        }
    }

    private void WriteSettings()
    {
        page.AppendLine("<h2>Settings</h2><p>With these, and the seeds above, anyone can make the same pictures again.</p>");
        page.AppendLine(CultureInfo.InvariantCulture, $"<p>Model {Text(settings.Model)}, evaluator {Text(settings.Clip)}, device {Text(settings.Pipeline.Device)}, {settings.Pipeline.Dtype}, first seed {settings.Seed}, {settings.Repeats} repetitions.</p>");
        foreach (var variant in settings.Variants)
        {
            page.AppendLine($"<details><summary>{Text(variant.Name)}</summary><pre>{Text(Json.Text(variant))}</pre></details>");
        }
    }
}
