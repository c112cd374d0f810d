using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using StorySync.Attention;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Benchmarks;

/// <summary>What a scene takes that reads a bank of either form, and what it takes by itself: the ways take turns.</summary>
internal static class BankRuns
{
    private static readonly string[] Places = ["in the forest", "at the beach", "in the snow", "in the city"];
    private static readonly string[] Actions = ["standing", "waving", "running", "reading"];

    public static Command Command()
    {
        var folder = new Option<string>("--folder")
        {
            DefaultValueFactory = _ => "storybook", Description = "A model folder, or storybook.",
        };
        var anchors = PositiveOption.Create("--anchors", 2, "Anchors of the banks.");
        var scenes = PositiveOption.Create("--scenes", 8, "Scenes to draw.");
        var batch = PositiveOption.Create("--batch", 4, "Scenes of a batch.");
        var steps = PositiveOption.Create("--steps", 20, "Denoising steps.");
        var size = new Option<int?>("--size") { Description = "Height and width in pixels; by default the model's." };
        var noLayout = new Option<bool>("--no-layout")
        {
            Description = "Without layout interpolation, which computes scenes twice in its steps.",
        };
        var rounds = PositiveOption.Create("--rounds", 5, "How often each way is measured.");
        var command = new Command(
            "bank", "Seconds of a scene by itself, with a bank of latents and with banks of keys; and the bytes of the banks.")
        {
            folder, anchors, scenes, batch, steps, size, noLayout, rounds,
        };
        command.SetAction(parsed => Run(
            parsed.GetValue(folder)!, parsed.GetValue(anchors), parsed.GetValue(scenes), parsed.GetValue(batch), parsed.GetValue(rounds),
            parsed.GetValue(noLayout),
            new GenerationRequest
            {
                Seed = 7,
                Steps = parsed.GetValue(steps),
                GuidanceScale = 4,
                Height = parsed.GetValue(size),
                Width = parsed.GetValue(size),
            }));
        return command;
    }

    private static void Run(string folder, int anchors, int scenes, int batch, int rounds, bool noLayout, GenerationRequest request)
    {
        using var files = new TemporaryFolder();
        using var pipeline = DiffusionPipeline.Load(folder, new PipelineOptions { Device = "cpu" });
        var story = new Story { Subjects = ["a rabbit"], Scenes = [.. Enumerable.Range(0, anchors).Select(SceneOf)] };
        Scene[] further = [.. Enumerable.Range(anchors, scenes).Select(SceneOf)];
        var options = new StoryOptions
        {
            Request = request, Techniques = noLayout ? new StoryAttentionOptions { Layout = new LayoutOptions { Until = 0 } } : null,
        };
        using var latents = Loaded("latents", options);
        using var keys = Loaded("keys", options with { BankForm = StoryBankForm.Keys });
        using var half = Loaded("half", options with { BankForm = StoryBankForm.Keys, BankKeysDtype = torch.ScalarType.Float16 });

        var ways = new Dictionary<string, (StoryBank? Bank, Action Draw)>
        {
            ["plain"] = (null, Plain),
            ["latents"] = (latents, () => Draw(latents)),
            ["keys"] = (keys, () => Draw(keys)),
            ["keys in float16"] = (half, () => Draw(half)),
        };
        var seconds = ways.ToDictionary(way => way.Key, _ => new List<double>());
        for (var round = -1; round < rounds; round++)
        {
            foreach (var (name, way) in ways)
            {
                var watch = Stopwatch.StartNew();
                way.Draw();
                if (round >= 0)
                {
                    seconds[name].Add(watch.Elapsed.TotalSeconds / scenes);
                }
            }
        }

        var ofPlain = seconds["plain"];
        foreach (var (name, way) in ways)
        {
            var ratios = seconds[name].Zip(ofPlain, (own, plain) => own / plain).Order().ToList();
            Console.WriteLine(new JsonObject
            {
                ["way"] = name,
                ["seconds_per_scene"] = seconds[name].Order().ElementAt(rounds / 2),
                ["of_plain"] = Math.Round(ratios[rounds / 2], 3),
                ["range"] = string.Create(CultureInfo.InvariantCulture, $"{ratios[0]:f2}-{ratios[^1]:f2}"),
                ["bank_bytes"] = way.Bank?.Bytes,
                ["threads"] = torch.get_num_threads(),
            }.ToJsonString());
        }

        void Plain()
        {
            foreach (var some in further.Chunk(batch))
            {
                pipeline.Generate(request with { Prompts = [.. some.Select(scene => scene.Prompt)] }).Dispose();
            }
        }

        void Draw(StoryBank bank) => pipeline.GenerateScenes(bank, further, new() { BatchSize = batch }).Dispose();

        StoryBank Loaded(string name, StoryOptions made)
        {
            using var bank = pipeline.CreateBank(story, made);
            bank.Save(Path.Combine(files.Path, name));
            return StoryBank.Load(Path.Combine(files.Path, name));
        }
    }

    private static Scene SceneOf(int i) =>
        new($"a rabbit {Actions[i / Places.Length % Actions.Length]} {Places[i % Places.Length]}") { Seed = 100 + i };
}
