using System.Globalization;
using ScottPlot;
using SkiaSharp;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>Draws figures with their intervals, several measures in a row, as PNG.</summary>
internal static class Plots
{
    private const string Font = "Roboto";
    private const int PanelWidth = 290;

    private static readonly Color Gray = Color.FromHex("#8a8a8a");
    private static readonly string[] Colors = ["#1f6f8b", "#d1495b", "#6a8d3f", "#8d5fa8"];

    static Plots()
    {
        // A bare Linux machine has no font.
        Fonts.AddFontFile(Font, Path.Combine(AppContext.BaseDirectory, "Fonts", "Roboto-Regular.ttf"));
        Fonts.Default = Font;
    }

    /// <summary>A row of dots for each variant, and a line down where the plain model is.</summary>
    public static byte[] Dots(IReadOnlyList<Measure> measures, IReadOnlyList<VariantSummary> summaries)
    {
        var names = 16 + (7 * summaries.Max(summary => summary.Variant.Name.Length));
        var panels = measures.Select((measure, i) => Dots(measure, summaries, i == 0 ? names : 16));
        return Png(panels, [PanelWidth - 40 + names, .. Enumerable.Repeat(PanelWidth - 40, measures.Count - 1)],
            80 + (26 * summaries.Count));
    }

    /// <summary>Lines over the values of a swept constant, its default marked, one for each variant that it was swept on, and where the
    /// plain model is.</summary>
    public static byte[] Lines(IReadOnlyList<Measure> measures, string axis, IReadOnlyList<VariantSummary> summaries) =>
        Png(measures.Select(measure => Lines(measure, axis, summaries)), [.. Enumerable.Repeat(PanelWidth, measures.Count)], 310);

    private static Plot Dots(Measure measure, IReadOnlyList<VariantSummary> summaries, int names)
    {
        var plot = Empty(measure);
        foreach (var (i, summary) in summaries.Index().Where(row => row.Item.Figures.ContainsKey(measure.Key)))
        {
            var (figure, plain) = (summary.Figures[measure.Key], summary.Variant.IsPlain);
            var color = plain ? Gray : Color.FromHex(Colors[0]);
            plot.Add.Marker(figure.Mean, -i, MarkerShape.FilledCircle, 8, color);
            AddInterval(plot, figure.Low, -i, figure.High, -i, color);
            if (plain)
            {
                plot.Add.VerticalLine(figure.Mean, 1, Gray, LinePattern.Dashed);
            }
        }

        plot.Axes.Left.SetTicks([.. summaries.Select((_, i) => -(double)i)],
            [.. summaries.Select(summary => names > 16 ? summary.Variant.Name : "")]);
        plot.Axes.Left.MinimumSize = plot.Axes.Left.MaximumSize = names;
        plot.Axes.SetLimitsY(0.6 - summaries.Count, 0.6);
        return plot;
    }

    private static Plot Lines(Measure measure, string axis, IReadOnlyList<VariantSummary> summaries)
    {
        var plot = Empty(measure);
        var points = summaries.Where(summary => summary.Variant.Point?.Axis == axis && summary.Figures.ContainsKey(measure.Key)).ToArray();
        string[] labels = [.. points.Select(summary => summary.Variant.Point!.Label).Distinct()];
        var ticks = Places(labels);
        var (first, span) = (ticks.Min(), Math.Max(ticks.Max() - ticks.Min(), 0.1));
        var lines = points.GroupBy(summary => summary.Variant.Point!.Base).ToArray();
        foreach (var (i, line) in lines.Index())
        {
            // Side by side, so that no interval covers another line's.
            var aside = (i - ((lines.Length - 1) / 2.0)) * 0.015 * span;
            var color = line.Key == BuiltInVariants.Plain ? Gray : Color.FromHex(Colors[i % Colors.Length]);
            double[] places = [.. line.Select(summary => ticks[labels.IndexOf(summary.Variant.Point!.Label)] + aside)];
            Interval[] figures = [.. line.Select(summary => summary.Figures[measure.Key])];
            plot.Add.Scatter(places, figures.Select(figure => figure.Mean).ToArray(), color).LegendText = line.Key;
            foreach (var (place, figure) in places.Zip(figures))
            {
                AddInterval(plot, place, figure.Low, place, figure.High, color);
            }
        }

        // The plain run is one for all points, if the constant is none of its own.
        var plain = summaries.FirstOrDefault(summary => summary.Variant.Name == BuiltInVariants.Plain);
        if (plain is not null && points.All(point => IsComparable(point.Variant, plain.Variant))
            && plain.Figures.TryGetValue(measure.Key, out var reference))
        {
            plot.Add.HorizontalLine(reference.Mean, 1.5f, Gray, LinePattern.Dashed).LegendText = plain.Variant.Name;
        }

        var defaults = points.Where(summary => summary.Variant.Point!.IsDefault).Select(summary =>
            summary.Variant.Point!.Label).ToHashSet();
        plot.Axes.Bottom.SetTicks(ticks, [.. labels.Select(label => defaults.Contains(label) ? $"{label}\ndefault" : label)]);
        plot.Axes.SetLimitsX(first - (0.1 * span), first + (1.1 * span));
        plot.Axes.Left.MinimumSize = plot.Axes.Left.MaximumSize = 50;
        plot.XLabel(axis, size: 13);
        plot.ShowLegend(Edge.Bottom);
        plot.Legend.OutlineWidth = 0;
        plot.Legend.ShadowColor = ScottPlot.Colors.Transparent;
        plot.Legend.FontSize = 12;
        return plot;
    }

    /// <summary>Values lie by size; by their logarithm where the largest is many times the smallest; one after the other if they are no
    /// numbers.</summary>
    private static double[] Places(string[] labels)
    {
        double[] values =
            [.. labels.Select(label => double.TryParse(label, CultureInfo.InvariantCulture, out var value) ? value : double.NaN)];
        return !values.All(double.IsFinite) ? [.. labels.Select((_, i) => (double)i)]
            : values.Min() > 0 && values.Max() >= 8 * values.Min() ? [.. values.Select(Math.Log2)]
            : values;
    }

    private static bool IsComparable(Variant variant, Variant plain) =>
        !variant.IsPlain && variant.Scenes == plain.Scenes
            && variant.Options with { Techniques = plain.Options.Techniques } == plain.Options;

    private static Plot Empty(Measure measure)
    {
        var plot = new Plot();
        plot.Title(measure.Better.Length == 0 ? measure.Key : $"{measure.Key} ({measure.Better})", size: 13);
        plot.Axes.Title.Label.Bold = false;
        plot.Axes.Bottom.Label.Bold = false;
        plot.Axes.Right.FrameLineStyle.Width = plot.Axes.Top.FrameLineStyle.Width = 0;
        plot.Axes.Left.MinorTickStyle.Length = plot.Axes.Bottom.MinorTickStyle.Length = 0;
        plot.Grid.MajorLineColor = Color.FromHex("#e8e8e8");
        return plot;
    }

    private static void AddInterval(Plot plot, double x1, double y1, double x2, double y2, Color color)
    {
        var line = plot.Add.Line(x1, y1, x2, y2);
        line.LineColor = color;
        line.LineWidth = 2;
    }

    /// <summary>At twice the resolution, for sharp screens.</summary>
    private static byte[] Png(IEnumerable<Plot> panels, int[] widths, int height)
    {
        using var bitmap = new SKBitmap(2 * widths.Sum(), 2 * height);
        using var canvas = new SKCanvas(bitmap);
        var left = 0;
        foreach (var (plot, width) in panels.Zip(widths))
        {
            plot.ScaleFactor = 2;
            plot.RenderManager.ClearCanvasBeforeEachRender = false;
            canvas.Save();
            plot.Render(canvas, new PixelRect(left, left + (2 * width), 2 * height, 0));
            canvas.Restore();
            left += 2 * width;
        }

        using var data = bitmap.Encode(SKEncodedImageFormat.Png, quality: 100);
        return data.ToArray();
    }
}
