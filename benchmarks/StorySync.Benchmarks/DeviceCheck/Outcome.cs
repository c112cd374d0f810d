using System.Diagnostics;
using StorySync.Attention;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>What a generation gave.</summary>
internal sealed record Outcome(IReadOnlyList<RgbImage> Images, float[] Latents, long[] Shape, double Seconds)
{
    private static readonly string[] Places =
        ["standing in the forest", "waving at the beach", "jumping in the snow", "sitting in the city"];

    public static Outcome Of(Func<GenerationResult> generate)
    {
        var watch = Stopwatch.StartNew();
        using var result = generate();
        return new(result.Images, Numbers(result.Latents), result.Latents.shape, watch.Elapsed.TotalSeconds);
    }

    /// <summary>Makes a story's images as if they were no story.</summary>
    public static Outcome OfImages(DiffusionPipeline pipeline, StoryOptions options, int scenes = 3) => Of(() => pipeline.Generate(new()
    {
        Prompts = [.. Enumerable.Range(0, scenes).Select(i => $"a rabbit {Places[i % Places.Length]}")],
        Height = options.Request!.Height,
        Width = options.Request!.Width,
        Steps = options.Request!.Steps,
        GuidanceScale = options.Request!.GuidanceScale,
        Seed = options.Request!.Seed,
    }));

    /// <summary>Makes a story on a model.</summary>
    public static Outcome OfStory(DiffusionPipeline pipeline, StoryOptions options, int scenes = 3) =>
        Of(() => pipeline.GenerateStory(Rabbit(scenes), options));

    /// <summary>Makes a story of two subjects in one place.</summary>
    public static Outcome OfTwoSubjects(DiffusionPipeline pipeline, StoryOptions options, int scenes = 3)
    {
        var story = Rabbit(scenes);
        return Of(() => pipeline.GenerateStory(
            story with
            {
                Subjects = [.. story.Subjects, "a red ball"],
                Scenes = [.. story.Scenes.Select(scene => scene with { Prompt = scene.Prompt + " with a red ball", Location = "there" })],
            },
            options));
    }

    /// <summary>Makes scenes that read a bank's anchors.</summary>
    public static Outcome OfBank(DiffusionPipeline pipeline, StoryOptions options, int anchors = 2, int scenes = 2)
    {
        using var bank = pipeline.CreateBank(Rabbit(anchors), options);
        return Of(() => pipeline.GenerateScenes(bank, Rabbit(scenes).Scenes, options with { BankForm = null }));
    }

    /// <summary>What two images of a model are asked by.</summary>
    public static GenerationRequest Request(string model, bool small)
    {
        var (size, steps, guidance) = Settings(model, small);
        return new()
        {
            Prompts = ["a rabbit standing in the forest", "a red fox at the beach"],
            Height = size,
            Width = size,
            Steps = steps,
            GuidanceScale = guidance,
            Seed = 7,
        };
    }

    /// <summary>What a story on a model is asked by.</summary>
    public static StoryOptions StoryOptions(string model, bool small, int? steps = null, StoryAttentionOptions? techniques = null)
    {
        var (size, own, guidance) = Settings(model, small);
        return new()
        {
            Request = new() { Seed = 7, Steps = steps ?? own, GuidanceScale = guidance, Height = size, Width = size },
            Techniques = techniques,
        };
    }

    /// <summary>Tells how far this is from another.</summary>
    public (int Pixels, double Mean, double Latents, bool Finite) From(Outcome other)
    {
        var differences = Images.Zip(other.Images, (a, b) =>
            a.Pixels.ToArray().Zip(b.Pixels.ToArray(), (x, y) => Math.Abs(x - y))).SelectMany(d => d).ToList();
        return (
            differences.DefaultIfEmpty(0).Max(),
            differences.DefaultIfEmpty(0).Average(),
            Latents.Zip(other.Latents, (a, b) => (double)Math.Abs(a - b)).DefaultIfEmpty(0).Max(),
            Latents.All(float.IsFinite));
    }

    public string Against(Outcome other)
    {
        var (pixels, mean, latents, finite) = From(other);
        return DeviceCheckRun.Invariant(
            $"pixels {pixels}, mean {mean:F4}, latents {latents:E1}{(finite ? "" : ", NOT finite")}, {other.Seconds:F2} -> {Seconds:F2} s");
    }

    private static Story Rabbit(int scenes) => new()
    {
        Subjects = ["a rabbit"],
        Scenes = [.. Enumerable.Range(0, scenes).Select(i => new Scene($"a rabbit {Places[i % Places.Length]}"))],
    };

    private static Outcome Of(Func<StoryResult> generate)
    {
        var watch = Stopwatch.StartNew();
        using var result = generate();
        return new([.. result.Scenes.Select(scene => scene.Image)], Numbers(result.Latents), result.Latents.shape,
            watch.Elapsed.TotalSeconds);
    }

    private static (int Size, int Steps, double? Guidance) Settings(string model, bool small) => model switch
    {
        "storybook" => (128, small ? 4 : 12, 4),
        "tiny-flux" => (64, 4, null),
        "tiny-kandinsky3" => (64, 4, 3),
        _ => (64, 4, 5),
    };

    private static float[] Numbers(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return [.. tensor.to(ScalarType.Float32).contiguous().cpu().data<float>()];
    }
}
