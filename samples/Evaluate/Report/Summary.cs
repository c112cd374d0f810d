using System.Globalization;
using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>The figures of one variant.</summary>
/// <param name="Variant">The variant.</param>
/// <param name="Figures">Mean and interval by measure.</param>
/// <param name="Changes">Mean and interval of the difference from the plain model's figure of the same story, by measure.</param>
internal sealed record VariantSummary(
    Variant Variant, IReadOnlyDictionary<string, Interval> Figures, IReadOnlyDictionary<string, Interval> Changes)
{
    public static IReadOnlyList<VariantSummary> Of(IReadOnlyList<Variant> variants, IReadOnlyList<StoryRecord> records)
    {
        var byVariant = records.ToLookup(record => record.Job.Variant);
        var plain = variants.Where(variant => variant.IsPlain).SelectMany(variant => byVariant[variant.Name])
            .DistinctBy(record => Frame(record.Job)).ToDictionary(record => Frame(record.Job));
        return
        [
            .. variants.Select(variant => new VariantSummary(
                variant,
                Intervals(byVariant[variant.Name], (measure, record) => measure.Of(record)),
                variant.IsPlain
                    ? new Dictionary<string, Interval>()
                    : Intervals(byVariant[variant.Name], (measure, record) =>
                        plain.TryGetValue(Frame(record.Job), out var other) ? measure.Of(record) - measure.Of(other) : null))),
        ];
    }

    public static string Text(IReadOnlyDictionary<string, Interval> figures, Measure measure) =>
        figures.TryGetValue(measure.Key, out var figure) ? figure.Mean.ToString(measure.Format, CultureInfo.InvariantCulture) : "–";

    public static string Range(IReadOnlyDictionary<string, Interval> figures, Measure measure) =>
        figures.TryGetValue(measure.Key, out var figure)
            ? string.Create(CultureInfo.InvariantCulture,
                $"{figure.Low.ToString(measure.Format, CultureInfo.InvariantCulture)} … "
                    + $"{figure.High.ToString(measure.Format, CultureInfo.InvariantCulture)}")
            : "";

    /// <summary>What two stories must have in common to differ by their techniques alone.</summary>
    private static string Frame(StoryJob job) =>
        Json.Text(job with
        {
            Variant = "", Damage = null, AnchorsFrom = null,
            Options = job.Options with { Techniques = null, Anchors = null, BankForm = null },
        });

    private static Dictionary<string, Interval> Intervals(IEnumerable<StoryRecord> records, Func<Measure, StoryRecord, double?> of) =>
        Measure.All
        .Select(measure => (measure.Key, Values: records.Select(record => of(measure, record)).OfType<double>().ToArray()))
        .Where(figure => figure.Values.Length > 0)
        .ToDictionary(figure => figure.Key, figure => Bootstrap.Mean(figure.Values));
}
