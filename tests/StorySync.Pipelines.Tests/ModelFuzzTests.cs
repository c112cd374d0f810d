using System.Globalization;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Models with one thing wrong in a file load and draw, or end in the one exception that says so. The faults come from a seed;
/// <c>STORYSYNC_FUZZ</c> sets how many of each kind are tried.</summary>
public class ModelFuzzTests
{
    private static readonly string[] Models = ["tiny-sdxl", "tiny-flux", "tiny-kandinsky3"];

    private static readonly string?[] Values =
    [
        "null", "true", "false", "0", "-1", "1", "2", "3", "5", "7", "64", "4096", "2147483647", "-2147483648", "1e308", "1e400", "-1e-308",
            "0.5", "-0.5",
        "\"\"", "\"x\"", "\"silu\"", "[]", "[1]", "[null]", "[[2, 1], 3]", "[1e9, 2]", "{}", "{\"content\": 3}", null,
    ];

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
            var root = JsonNode.Parse(File.ReadAllText(copy.PathOf(file)))!.AsObject();
            var key = root.Select(entry => entry.Key).Order().ElementAt(random.Next(root.Count));
            var value = Values[random.Next(Values.Length)];
            if (value is null)
            {
                copy.Remove(file, key);
            }
            else
            {
                copy.Set(file, key, "placeholder-of-the-value");
                copy.Write(file,
                    File.ReadAllText(copy.PathOf(file)).Replace("\"placeholder-of-the-value\"", value, StringComparison.Ordinal));
            }

            drawn += Draws(copy, $"{i}: {Models[i % Models.Length]}/{file}: {key} = {value ?? "(absent)"}") ? 1 : 0;
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
                File.WriteAllBytes(copy.PathOf(file), Mutate(File.ReadAllBytes(copy.PathOf(file)), random));
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
            File.WriteAllBytes(file, [.. Mutate(bytes[..header], random), .. bytes[header..]]);
            Draws(copy, $"{i}: text_encoder/model.safetensors", draws: false);
        }
    }

    private static byte[] Mutate(byte[] bytes, Random random)
    {
        var result = bytes.ToList();
        for (var changes = random.Next(1, 4); changes > 0 && result.Count > 0; changes--)
        {
            var at = random.Next(result.Count);
            switch (random.Next(5))
            {
                case 0:
                    result[at] = (byte)random.Next(256);
                    break;
                case 1:
                    result.RemoveRange(at, Math.Min(random.Next(1, 20), result.Count - at));
                    break;
                case 2:
                    result.InsertRange(at, result.GetRange(random.Next(result.Count), 1));
                    break;
                case 3:
                    result[at] ^= (byte)(1 << random.Next(8));
                    break;
                default:
                    result.RemoveRange(at, result.Count - at);
                    break;
            }
        }

        return [.. result];
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
