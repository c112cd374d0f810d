using System.Globalization;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Models with one thing wrong in a file load and draw, or end in the one exception that says so. The faults come from a seed;
/// <c>STORYSYNC_FUZZ</c> sets how many of each kind are tried.</summary>
public class ModelFuzzTests
{
    private static readonly string[] Models = ["tiny-sdxl", "tiny-flux", "tiny-kandinsky3"];

    private static int Count => int.Parse(Environment.GetEnvironmentVariable("STORYSYNC_FUZZ") ?? "60", CultureInfo.InvariantCulture);

    [Fact]
    public void Entries_of_configs()
    {
        var random = new Random(20);
        var drawn = 0;
        for (var i = 0; i < Count; i++)
        {
            using var copy = new ModelCopy(Models[i % Models.Length]);
            var files = Directory.GetFiles(copy.Path, "*.json", SearchOption.AllDirectories).Where(file =>
                new FileInfo(file).Length < 20_000).Order().ToList();
            var file = Path.GetRelativePath(copy.Path, files[random.Next(files.Count)]);
            File.WriteAllBytes(copy.PathOf(file), Mutation.Json(File.ReadAllBytes(copy.PathOf(file)), random));
            drawn += Draws(copy, $"{i}: {Models[i % Models.Length]}/{file}: {File.ReadAllText(copy.PathOf(file))}") ? 1 : 0;
        }

        Assert.InRange(drawn, 1, Count - 1);
    }

    [Fact]
    public void Bytes_of_configs_and_vocabularies()
    {
        var random = new Random(21);
        for (var i = 0; i < Count; i++)
        {
            using var copy = new ModelCopy(Models[i % Models.Length]);
            var files = Directory.GetFiles(copy.Path, "*", SearchOption.AllDirectories).Where(file =>
                !file.EndsWith(".safetensors", StringComparison.Ordinal)).Order().ToList();
            var file = Path.GetRelativePath(copy.Path, files[random.Next(files.Count)]);
            if (random.Next(4) == 0)
            {
                copy.Delete("tokenizer/tokenizer.json");
            }

            if (File.Exists(copy.PathOf(file)))
            {
                File.WriteAllBytes(copy.PathOf(file), Mutation.Bytes(File.ReadAllBytes(copy.PathOf(file)), random));
            }

            Draws(copy, $"{i}: {Models[i % Models.Length]}/{file}");
        }
    }

    [Fact]
    public void Headers_of_weights()
    {
        var random = new Random(22);
        for (var i = 0; i < Count; i++)
        {
            using var copy = new ModelCopy("tiny-sdxl");
            var file = copy.PathOf("text_encoder/model.safetensors");
            var bytes = File.ReadAllBytes(file);
            File.Delete(file);
            var header = BitConverter.ToInt32(bytes) + 8;
            File.WriteAllBytes(file, [.. Mutation.Bytes(bytes.AsSpan(0, header), random), .. bytes.AsSpan(header)]);
            Draws(copy, $"{i}: text_encoder/model.safetensors", draws: false);
        }
    }

    /// <summary>Whether the model draws; else it has ended in the exception of a file at fault.</summary>
    private static bool Draws(ModelCopy copy, string fault, bool draws = true)
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        try
        {
            using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
            if (draws)
            {
                pipeline.Generate(
                    new GenerationRequest { Prompts = ["a red fox!"], Height = 64, Width = 64, Steps = 2, Seed = 1 }).Dispose();
            }

            return true;
        }
        catch (ModelFileException error)
        {
            Assert.False(string.IsNullOrWhiteSpace(error.Path), fault);
            return false;
        }
        catch (Exception error)
        {
            Assert.Fail($"{fault}: {error}");
            return false;
        }
    }
}
