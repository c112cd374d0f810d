using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using StorySync.Attention;
using StorySync.Evaluation;
using StorySync.Pipelines;

namespace StorySync.Benchmarks;

/// <summary>What the approximate options gain and cost: each setting in turn with the exact run, from the same seeds; the exact setting
/// too,
/// which tells what the clock is worth.</summary>
internal static class Approximations
{
    private static readonly string[] Subjects = ["rabbit", "frog", "bear", "cat", "robot", "fox"];
    private static readonly string[] Places =
        ["standing in the forest", "waving at the beach", "jumping in the snow", "sitting in the city"];

    private static readonly Option<string> Folder = new("--folder") { DefaultValueFactory = _ =>
        "storybook", Description = "A model folder, or storybook." };
    private static readonly Option<string> Clip = new("--clip") { DefaultValueFactory = _ =>
        "storybook", Description = "The CLIP model that measures." };
    private static readonly Option<double[]> Ends = new("--guidance-end") { DefaultValueFactory = _ =>
        [0.8, 0.6, 0.5], Description = "Values of GuidanceEnd.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<double[]> Thresholds = new("--threshold") { DefaultValueFactory = _ =>
        [0.1, 0.15, 0.2, 0.3], Description = "Values of BlockCacheThreshold.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<int> Seeds =
        PositiveOption.Create("--seeds", 6, "Seeds, each for four images of other subjects; with --story, stories of four scenes.");
    private static readonly Option<int> Steps = PositiveOption.Create("--steps", 20, "Denoising steps.");
    private static readonly Option<double> Guidance = new("--guidance") { DefaultValueFactory = _ => 4, Description = "Guidance scale." };
    private static readonly Option<bool> AsStory =
        new("--story") { Description = "Stories, with the techniques, in place of single images." };

    public static Command Command()
    {
        var command = new Command("approximations", "Time and error of GuidanceEnd and BlockCacheThreshold against the exact images.")
        {
            Folder, Clip, Ends, Thresholds, Seeds, Steps, Guidance, AsStory,
        };
        command.SetAction(Run);
        return command;
    }

    private static void Run(ParseResult parsed)
    {
        using var pipeline = DiffusionPipeline.Load(parsed.GetValue(Folder)!, new PipelineOptions { Device = "cpu" });
        using var clip = ClipEvaluator.Load(parsed.GetValue(Clip)!);
        Func<Setting, int, Outcome> run = parsed.GetValue(AsStory)
            ? (setting, number) => Story(pipeline, clip, parsed, setting, number)
            : (setting, number) => Images(pipeline, clip, parsed, setting, number);
        var exact = new Setting(1, 0);
        run(exact, 0);

        Console.WriteLine(
            "| GuidanceEnd | BlockCacheThreshold | rows of attention | time | mean difference of 255 | PSNR | CLIP-T | CLIP-I of the "
                + "subject |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        double[] ends = parsed.GetValue(Ends)!, thresholds = parsed.GetValue(Thresholds)!;
        Setting[] settings =
            [exact, .. ends.Select(end => new Setting(end, 0)), .. thresholds.Select(threshold => new Setting(1, threshold))];
        foreach (var setting in settings)
        {
            var pairs = Enumerable.Range(0, parsed.GetValue(Seeds)).Select(number =>
                (Exact: run(exact, number), Own: run(setting, number))).ToList();
            Console.WriteLine(Row(setting, pairs));
        }
    }

    private static Outcome Images(DiffusionPipeline pipeline, ClipEvaluator clip, ParseResult parsed, Setting setting, int number)
    {
        var counter = new Counter();
        string[] prompts = [.. Places.Select((place, i) => $"a {Subjects[(number + i) % Subjects.Length]} {place}")];
        var watch = Stopwatch.StartNew();
        using var result = pipeline.Generate(new GenerationRequest
        {
            Prompts = prompts,
            Seed = 100 * number,
            Steps = parsed.GetValue(Steps),
            GuidanceScale = parsed.GetValue(Guidance),
            GuidanceEnd = setting.GuidanceEnd,
            BlockCacheThreshold = setting.Threshold,
            AttentionProcessor = counter,
        });
        return new(watch.Elapsed.TotalSeconds, result.Images, ClipTOf(clip, result.Images, prompts), null, counter.Rows);
    }

    private static Outcome Story(DiffusionPipeline pipeline, ClipEvaluator clip, ParseResult parsed, Setting setting, int number)
    {
        var subject = $"a {Subjects[number % Subjects.Length]}";
        var story = new Story { Subjects = [subject], Scenes = [.. Places.Select(place => new Scene($"{subject} {place}"))] };
        var watch = Stopwatch.StartNew();
        using var result = pipeline.GenerateStory(story, new StoryOptions
        {
            Request = new GenerationRequest
            {
                Seed = 100 * number,
                Steps = parsed.GetValue(Steps),
                GuidanceScale = parsed.GetValue(Guidance),
                GuidanceEnd = setting.GuidanceEnd,
                BlockCacheThreshold = setting.Threshold,
            },
        });
        var seconds = watch.Elapsed.TotalSeconds;
        var measures = new StoryEvaluator(clip).Measure(EvaluatedScene.Of(result));
        return new(seconds, [.. result.Scenes.Select(scene => scene.Image)], measures.ClipT, measures.ClipI, null);
    }

    private static double ClipTOf(ClipEvaluator clip, IReadOnlyList<RgbImage> images, string[] prompts) =>
        clip.EmbedImages(images).Zip(clip.EmbedTexts(prompts), ClipT.Cosine).Average(ClipT.Score);

    private static string Row(Setting setting, IReadOnlyList<(Outcome Exact, Outcome Own)> pairs)
    {
        var ratios = pairs.Select(pair => pair.Own.Seconds / pair.Exact.Seconds).Order().ToList();
        var differences = pairs.SelectMany(pair => pair.Exact.Images.Zip(pair.Own.Images))
            .SelectMany(images =>
                images.First.Pixels.ToArray().Zip(images.Second.Pixels.ToArray(), (a, b) => (double)Math.Abs(a - b))).ToList();
        var error = differences.Average(d => d * d);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {setting.GuidanceEnd} | {setting.Threshold} | {Share(pairs)} | {Median(ratios):f2} ({ratios[0]:f2}–{ratios[^1]:f2}) | "
                + $"{differences.Average():f1} "
            + $"| {(error == 0 ? "∞" : $"{10 * Math.Log10(255 * 255 / error):f1} dB")} | {pairs.Average(pair => pair.Own.ClipT):f3} | "
            + $"{pairs.Average(pair => pair.Own.ClipI):f3} |");
    }

    private static string Share(IReadOnlyList<(Outcome Exact, Outcome Own)> pairs) => pairs[0].Own.Rows is null
        ? "" : string.Create(CultureInfo.InvariantCulture,
            $"{(double)pairs.Sum(pair => pair.Own.Rows)! / (double)pairs.Sum(pair => pair.Exact.Rows)!:p0}");

    private static double Median(List<double> sorted) => (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;

    private sealed record Setting(double GuidanceEnd, double Threshold);

    private sealed record Outcome(double Seconds, IReadOnlyList<RgbImage> Images, double ClipT, double? ClipI, long? Rows);

    /// <summary>Counts the rows of all attention layers' calls.</summary>
    private sealed class Counter : IAttentionProcessor
    {
        public long Rows { get; private set; }

        public TorchSharp.torch.Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            Rows += inputs.Query.shape[0];
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
