using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Configs and requests of a stranger's, as lists of cases: each ends in the documented exception, and before it takes memory or
/// time. The lists lie next to the larger reference data.</summary>
public class HostileCaseTests
{
    private static readonly PipelineOptions Cpu = new() { Device = "cpu" };

    [Fact]
    public void Every_config_is_refused_by_file_and_entry()
    {
        var cases = Cases("configs.json");
        foreach (var entry in cases)
        {
            var (model, file, key) = (Text(entry, "model"), Text(entry, "file"), Text(entry, "key"));
            using var copy = new ModelCopy(model.Split(' ')[0]);
            if (model.Contains("spiece.model only", StringComparison.Ordinal))
            {
                copy.Delete("tokenizer_2/tokenizer.json");
            }

            _ = entry["remove"] is not null ? copy.Remove(file, key) : copy.Set(file, key, entry["value"]!.DeepClone());
            var error = Assert.ThrowsAny<ModelFileException>(() => Load(copy));
            Assert.StartsWith(copy.Path, error.Message, StringComparison.Ordinal);
            Assert.Contains(key, error.Message, StringComparison.Ordinal);
        }

        Assert.NotEmpty(cases);

        // A folder without an index is CLIP's, whose processor reads a config of its own.
        static void Load(ModelCopy copy)
        {
            if (File.Exists(copy.PathOf("model_index.json")))
            {
                DiffusionPipeline.Load(copy.Path, Cpu).Dispose();
            }
            else
            {
                CLIPImageProcessor.Load(ModelFolder.Open(copy.Path));
            }
        }
    }

    [Fact]
    public void Every_request_is_refused_before_work()
    {
        var sized = Cases("requests.json").Where(entry => entry["width"] is not null || entry["steps"] is not null).ToList();
        foreach (var model in sized.GroupBy(entry => Text(entry, "model")))
        {
            using var pipeline = DiffusionPipeline.Load(ReferenceData.PathOf($"models/{model.Key}"), Cpu);
            foreach (var entry in model)
            {
                var request = new GenerationRequest
                {
                    Width = (int?)entry["width"],
                    Height = (int?)entry["height"],
                    Steps = (int?)entry["steps"],
                    ImagesPerPrompt = (int?)entry["imagesPerPrompt"] ?? 1,
                    Prompts = [.. Enumerable.Repeat("a red fox", (int?)entry["prompts"] ?? 1)],
                };
                Action call = Text(entry, "call") switch
                {
                    "Generate" => () => pipeline.Generate(request, new Unexpected()),
                    "PlanMemory" => () => pipeline.PlanMemory(request),
                    "story" => () => pipeline.GenerateStory(
                        new Story
                        {
                            Subjects = ["a red fox"],
                            Scenes = [.. Enumerable.Repeat(new Scene("a red fox"), (int)entry["scenes"]!)],
                        },
                        new StoryOptions { Request = request with { Prompts = [] } },
                        new Unexpected()),
                    var other => throw new InvalidDataException($"The case has the call '{other}'."),
                };
                var error = Record.Exception(call);
                Assert.True(
                    error is ArgumentException or InsufficientMemoryException, $"{entry.ToJsonString()}: {error?.ToString() ?? "nothing"}");
                Assert.DoesNotContain("(Parameter", error!.Message, StringComparison.Ordinal);
            }
        }

        Assert.NotEmpty(sized);
    }

    private static List<JsonObject> Cases(string file)
    {
        var path = Path.GetFullPath(Path.Combine(ReferenceData.RequireRoot(), "..", "cases", "hostile", file));
        Assert.SkipUnless(File.Exists(path), "There are no such cases.");
        return [.. JsonSerializer.Deserialize<JsonArray>(File.ReadAllText(path))!.Select(entry => entry!.AsObject())];
    }

    private static string Text(JsonObject entry, string key) => (string)entry[key]!;

    /// <summary>Progress that must not be reported, because nothing begins.</summary>
    private sealed class Unexpected : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => Assert.Fail("The generation began.");
    }
}
