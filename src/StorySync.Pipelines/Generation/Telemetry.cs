using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace StorySync.Pipelines;

/// <summary>Traces and metrics under the name <c>StorySync</c>, with the names of OpenTelemetry's conventions for generative AI where there
/// are any. Prompts are in none of them. Where nobody listens, nothing is allocated.</summary>
internal static class Telemetry
{
    private const string Name = "StorySync";

    private const string Model = "gen_ai.request.model";
    private const string Operation = "gen_ai.operation.name";

    private static readonly string? Version = typeof(Telemetry).Assembly.GetName().Version?.ToString(3);

    private static readonly Meter Meter = new(Name, Version);

    private static readonly ActivitySource Source = new(Name, Version);

    private static readonly Histogram<double> StepDuration = Meter.CreateHistogram(
        "storysync.step.duration",
        "s",
        "Duration of a denoising step.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60] });

    private static readonly Counter<long> Images = Meter.CreateCounter<long>("storysync.images", "{image}", "Images that were generated.");

    /// <summary>Begins the span of a generation; null where nobody listens.</summary>
    /// <param name="operation">What is generated: <c>generate_content</c> for images, <c>generate_story</c>.</param>
    /// <param name="model">The model's name.</param>
    public static Activity? StartGeneration(string operation, string model) => Source.HasListeners()
        ? Source.StartActivity($"{operation} {model}")?
            .SetTag(Operation, operation)
            .SetTag(Model, model)
            .SetTag("gen_ai.provider.name", "storysync")
            .SetTag("gen_ai.output.type", "image")
        : null;

    /// <summary>Begins the span of a stage, within that of its generation; null where nobody listens.</summary>
    /// <param name="stage">The stage: <c>encode</c>, <c>denoise</c> or <c>decode</c>.</param>
    public static Activity? StartStage(string stage) => Source.StartActivity(stage);

    /// <summary>Marks a span as that of something that failed.</summary>
    public static void Fail(Activity? span, Exception exception) =>
        span?.SetStatus(ActivityStatusCode.Error, exception.Message).SetTag("error.type", exception.GetType().FullName);

    /// <summary>Records a step.</summary>
    public static void RecordStep(string model, TimeSpan duration)
    {
        if (StepDuration.Enabled)
        {
            StepDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>(Model, model));
        }
    }

    /// <summary>Counts images.</summary>
    public static void CountImages(string model, int images)
    {
        if (Images.Enabled)
        {
            Images.Add(images, new KeyValuePair<string, object?>(Model, model));
        }
    }
}
