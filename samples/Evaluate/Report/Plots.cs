using ScottPlot;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>Draws figures with their intervals, as PNG.</summary>
internal static class Plots
{
    private const string Font = "Roboto";
    private static readonly string[] Colors = ["#1f6f8b", "#d1495b", "#6a8d3f", "#8d5fa8"];

    static Plots()
    {
        // A bare Linux machine has no font.
        Fonts.AddFontFile(Font, Path.Combine(AppContext.BaseDirectory, "Fonts", "Roboto-Regular.ttf"));
        Fonts.Default = Font;
    }

    /// <summary>A dot a variant, and a line where the plain model is.</summary>
    public static byte[] Dots(Measure measure, IReadOnlyList<VariantSummary> summaries)
    {
        var plot = Empty(measure);
        var places = Enumerable.Range(0, summaries.Count).Where(i => summaries[i].Figures.ContainsKey(measure.Key)).ToArray();
        foreach (var i in places)
        {
            var (figure, plain) = (summaries[i].Figures[measure.Key], summaries[i].Variant.Name == BuiltInVariants.Plain);
            var color = Color.FromHex(Colors[plain ? 1 : 0]);
            plot.Add.Marker(i, figure.Mean, MarkerShape.FilledCircle, 9, color);
            AddIntervals(plot, [i], [figure], color);
            if (plain)
            {
                plot.Add.HorizontalLine(figure.Mean, 1, color, LinePattern.Dashed);
            }
        }

        plot.Axes.Bottom.SetTicks([.. summaries.Select((_, i) => (double)i)], [.. summaries.Select(summary => summary.Variant.Name)]);
        plot.Axes.Bottom.TickLabelStyle.Rotation = 35;
        plot.Axes.Bottom.TickLabelStyle.Alignment = Alignment.MiddleLeft;
        plot.Axes.Bottom.MinimumSize = 110;
        plot.Axes.Right.MinimumSize = 50;
        return Png(plot, 150 + (45 * summaries.Count), 340);
    }

    /// <summary>A line over the values of a swept constant, one for each variant that it was swept on.</summary>
    public static byte[] Lines(Measure measure, string axis, IReadOnlyList<VariantSummary> summaries)
    {
        var plot = Empty(measure);
        var series = summaries.Where(summary => summary.Variant.Point?.Axis == axis && summary.Figures.ContainsKey(measure.Key))
            .GroupBy(summary => summary.Variant.Point!.Base).ToArray();
        foreach (var (i, line) in series.Index())
        {
            double[] places = [.. line.Select(summary => summary.Variant.Point!.Value)];
            Interval[] figures = [.. line.Select(summary => summary.Figures[measure.Key])];
            var color = Color.FromHex(Colors[i % Colors.Length]);
            var scatter = plot.Add.Scatter(places, figures.Select(figure => figure.Mean).ToArray(), color);
            scatter.LegendText = line.Key;
            AddIntervals(plot, places, figures, color);
        }

        var points = series.SelectMany(line => line).Select(summary => summary.Variant.Point!).DistinctBy(point => point.Value).ToArray();
        plot.Axes.Bottom.SetTicks([.. points.Select(point => point.Value)], [.. points.Select(point => point.Label)]);
        plot.XLabel(axis);
        if (series.Length > 1)
        {
            plot.ShowLegend(Edge.Bottom);
        }

        return Png(plot, 420, 340);
    }

    private static Plot Empty(Measure measure)
    {
        var plot = new Plot();
        plot.Title(measure.Key);
        plot.Axes.Title.Label.Bold = false;
        plot.Axes.Bottom.Label.Bold = false;
        return plot;
    }

    private static void AddIntervals(Plot plot, double[] places, Interval[] figures, Color color)
    {
        for (var i = 0; i < places.Length; i++)
        {
            var line = plot.Add.Line(places[i], figures[i].Low, places[i], figures[i].High);
            line.LineColor = color;
            line.LineWidth = 2;
        }
    }

    /// <summary>At twice the resolution, for sharp screens.</summary>
    private static byte[] Png(Plot plot, int width, int height)
    {
        plot.ScaleFactor = 2;
        return plot.GetImage(2 * width, 2 * height).GetImageBytes();
    }
}
