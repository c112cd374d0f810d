using System.Globalization;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>The figures of one variant.</summary>
/// <param name="Variant">The variant.</param>
/// <param name="Figures">Mean and interval by measure.</param>
internal sealed record VariantSummary(Variant Variant, IReadOnlyDictionary<string, Interval> Figures)
{
    public string Text(Measure measure) => Figures.TryGetValue(measure.Key, out var figure)
        ? string.Create(CultureInfo.InvariantCulture, $"{figure.Mean.ToString(measure.Format, CultureInfo.InvariantCulture)}")
        : "–";

    public string Range(Measure measure) => Figures.TryGetValue(measure.Key, out var figure)
        ? $"{figure.Low.ToString(measure.Format, CultureInfo.InvariantCulture)}–{figure.High.ToString(measure.Format, CultureInfo.InvariantCulture)}"
        : "";

    public static IReadOnlyList<VariantSummary> Of(IReadOnlyList<Variant> variants, IReadOnlyList<StoryRecord> records) =>
    [
        .. variants.Select(variant =>
        {
            var own = records.Where(record => record.Job.Variant == variant.Name).ToArray();
            return new VariantSummary(variant, Measure.All
                .Select(measure => (measure.Key, Interval: measure.Over(own)))
                .Where(figure => figure.Interval is not null)
                .ToDictionary(figure => figure.Key, figure => figure.Interval!));
        }),
    ];
}
