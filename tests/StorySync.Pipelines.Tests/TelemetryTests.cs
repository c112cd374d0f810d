using System.Diagnostics;
using System.Diagnostics.Metrics;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>What a listener gets of generations. Listeners are the process's: no other test runs meanwhile.</summary>
[Collection(typeof(AloneCollection))]
public class TelemetryTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly GenerationRequest Quick = new()
    {
        Prompts = ["a cat"], ImagesPerPrompt = 2, Steps = 3, Seed = 5, Height = 64, Width = 128,
    };

    [Fact]
    public void A_generation_is_a_span_with_its_stages_within()
    {
        var spans = Spans(() => model.Pipeline.Generate(Quick).Dispose());

        Assert.Equal(["encode", "denoise", "decode", "generate_content storybook"], spans.Select(span => span.DisplayName));
        Assert.All(spans[..^1], span => Assert.Equal(spans[^1].SpanId, span.ParentSpanId));
        var tags = spans[^1].TagObjects.ToDictionary();
        Assert.Equal(
            new Dictionary<string, object?>
            {
                ["gen_ai.operation.name"] = "generate_content",
                ["gen_ai.request.model"] = "storybook",
                ["gen_ai.provider.name"] = "storysync",
                ["gen_ai.output.type"] = "image",
                ["gen_ai.request.choice.count"] = 2,
                ["gen_ai.request.seed"] = 5L,
                ["gen_ai.request.image.width"] = 128,
                ["gen_ai.request.image.height"] = 64,
                ["storysync.steps"] = 3,
                ["storysync.guidance_scale"] = model.Pipeline.DefaultGuidanceScale,
                ["storysync.device"] = "cpu",
            },
            tags);
    }

    [Fact]
    public void A_story_is_a_span_with_its_stages_within()
    {
        var story = new Story { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving"), new("a bear")] };
        var spans = Spans(() => model.Pipeline.GenerateStory(story,
            new StoryOptions { Request = new() { Steps = 1, Height = 64, Width = 64 } }).Dispose());

        Assert.Equal(["encode", "denoise", "decode", "generate_story storybook"], spans.Select(span => span.DisplayName));
        Assert.All(spans[..^1], span => Assert.Equal(spans[^1].SpanId, span.ParentSpanId));
        Assert.Equal(3, spans[^1].GetTagItem("gen_ai.request.choice.count"));
    }

    [Fact]
    public void What_fails_is_said_by_the_span_and_leaves_none_open()
    {
        var spans = Spans(() => Assert.Throws<InvalidTimeZoneException>(() =>
            model.Pipeline.Generate(Quick with { OnStep = _ => throw new InvalidTimeZoneException("No step.") })));

        Assert.Equal(["encode", "denoise", "generate_content storybook"], spans.Select(span => span.DisplayName));
        Assert.Equal((ActivityStatusCode.Error, "No step."), (spans[^1].Status, spans[^1].StatusDescription));
        Assert.Equal(typeof(InvalidTimeZoneException).FullName, spans[^1].GetTagItem("error.type"));
        Assert.Null(Activity.Current);
    }

    [Fact]
    public void Steps_are_timed_without_callbacks_and_images_are_counted()
    {
        var measured = new List<(string Instrument, string? Unit, double Value, object? Model)>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, own) =>
            {
                if (instrument.Meter.Name == "StorySync")
                {
                    own.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<double>(Add);
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags, null));
        listener.Start();
        var pause = TimeSpan.FromMilliseconds(100);
        var clock = Stopwatch.StartNew();
        using var result = model.Pipeline.Generate(Quick with { OnStep = _ => Thread.Sleep(pause) });
        var whole = clock.Elapsed;

        Assert.Equal(
            [.. Enumerable.Repeat(("storysync.step.duration", "s", "storybook"), 3), ("storysync.images", "{image}", "storybook")],
            measured.Select(m => (m.Instrument, m.Unit!, (string)m.Model!)));
        Assert.Equal(2, measured[^1].Value);
        Assert.All(measured[..3], step => Assert.True(step.Value > 0));
        Assert.InRange(measured[..3].Sum(step => step.Value), 0, (whole - (3 * pause)).TotalSeconds);

        void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state) =>
            measured.Add((instrument.Name, instrument.Unit, value, tags.ToArray().Single(tag => tag.Key == "gen_ai.request.model").Value));
    }

    [Fact]
    public void Without_a_listener_nothing_is_allocated()
    {
        Use();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Use();

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Use()
        {
            for (var i = 0; i < 1000; i++)
            {
                using var generation = Telemetry.StartGeneration("generate_content", "storybook");
                using var stage = Telemetry.StartStage("encode");
                Telemetry.RecordStep("storybook", TimeSpan.FromSeconds(1));
                Telemetry.CountImages("storybook", 1);
            }
        }
    }

    /// <summary>The spans that something makes, in the order in which they end.</summary>
    private static List<Activity> Spans(Action run)
    {
        var spans = new List<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "StorySync",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = spans.Add,
        };
        ActivitySource.AddActivityListener(listener);
        run();
        return spans;
    }
}
