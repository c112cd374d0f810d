using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>The device against the CPU in float32, images of 0 … 255. Half types draw other noise: only rows whose latents are given
/// compare with them.</summary>
internal static class ParityPart
{
    // What rounding in another order changes: pixels on an edge by a few steps of 255.
    private const int MostOfRounding = 4;

    // A story's masks are cut at a threshold: one token more or less makes more of the same rounding.
    private const int MostInStory = 32;

    private static readonly string[] OfImages = ["text", "given", "image"];
    private static readonly string[] OfStories = ["story", "two subjects", "bank of latents", "bank of keys"];

    private static readonly string[] Models = ["storybook", "tiny-sdxl", "tiny-flux", "tiny-kandinsky3"];

    public static void Run(DeviceCheckRun run)
    {
        foreach (var model in Models.Where(run.Has))
        {
            var expected = new Dictionary<string, Outcome>();
            run.Row($"{model} on the CPU", () =>
            {
                using var pipeline = run.Load(model, device: "cpu");
                foreach (var kind in (string[])[.. OfImages, .. OfStories])
                {
                    expected[kind] = Make(run, pipeline, model, kind, expected);
                }

                return DeviceCheckRun.Invariant($"{expected.Values.Sum(outcome => outcome.Seconds):F2} s");
            });
            foreach (var dtype in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16])
            {
                run.Row($"{model} {dtype}", () =>
                {
                    using var pipeline = run.Load(model, dtype);
                    var kinds = expected.Keys.Where(kind => dtype == ScalarType.Float32 || kind == "given");
                    return string.Join("; ", kinds.Select(kind => Compare(run, pipeline, model, kind, dtype, expected)));
                });
            }
        }
    }

    private static string Compare(
        DeviceCheckRun run, DiffusionPipeline pipeline, string model, string kind, ScalarType dtype, Dictionary<string, Outcome> expected)
    {
        var outcome = Make(run, pipeline, model, kind, expected);
        var (pixels, _, _, finite) = outcome.From(expected[kind]);
        var text = $"{kind}: {outcome.Against(expected[kind])}";
        return finite && (dtype != ScalarType.Float32 || pixels <= (OfStories.Contains(kind) ? MostInStory : MostOfRounding)) ? text
            : throw new InvalidOperationException(text);
    }

    private static Outcome Make(DeviceCheckRun run, DiffusionPipeline pipeline, string model, string kind, Dictionary<string,
        Outcome> expected)
    {
        using var scope = NewDisposeScope();
        var request = Outcome.Request(model, run.Small);
        if (OfStories.Contains(kind))
        {
            var options = Outcome.StoryOptions(model, run.Small);
            return kind switch
            {
                "story" => Outcome.OfStory(pipeline, options),
                "two subjects" => Outcome.OfTwoSubjects(pipeline, options),
                _ => Outcome.OfBank(
                    pipeline, options with { BankForm = kind == "bank of keys" ? StoryBankForm.Keys : StoryBankForm.Trajectory }),
            };
        }

        request = kind switch
        {
            "given" => request with { Latents = randn(expected["text"].Shape, generator: new Generator(11, CPU)) },
            "image" => request with { Images = [expected["text"].Images[0]], Strength = 0.75, Height = null, Width = null },
            _ => request,
        };
        return Outcome.Of(() => pipeline.Generate(request));
    }
}
