using System.Globalization;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Every entry of every config of a model with values that it cannot have: the model is refused by file and entry, or draws.
/// <c>STORYSYNC_FUZZ</c> sets how many values of each entry are tried, all of them from 30 on; without it every eighth entry is
/// tried with one, and of a vocabulary, whose entries are all of one kind, every hundredth.</summary>
public class EveryEntryTests
{
    private static readonly string[] Values =
    [
        "-1", "0", "2147483648", "0.5", "\"NaN\"", "[]", "null", "{}", "1e400", "[1, 2, 3, 4, 5, 6, 7]", "true", "-2147483648", "\"x\"",
            "3",
        "1e308", "[0]", "[null]", "[-1, 4]", "NaN", "Infinity", "-1e-308", "4096", "[[1], [2]]", "\"\\u0000\"", "1", "64", "[1e9]",
        "100000", "{\"content\": 3}", "-0.5",
    ];

    private static readonly string? Asked = Environment.GetEnvironmentVariable("STORYSYNC_FUZZ");

    private static int Count => Asked is null ? 1 : int.Parse(Asked, CultureInfo.InvariantCulture);

    [Theory]
    [InlineData("tiny-sdxl")]
    [InlineData("tiny-flux")]
    [InlineData("tiny-kandinsky3")]
    public void An_entry_with_an_odd_value_is_named_or_does_no_harm(string model)
    {
        using var copy = new ModelCopy(model);
        var files = Directory.GetFiles(copy.Path, "*.json", SearchOption.AllDirectories)
            .Where(file => new FileInfo(file).Length < 20_000)
            .Select(file => Path.GetRelativePath(copy.Path, file)).Order(StringComparer.Ordinal);
        var (entries, tried, faults) = (0, 0, new List<string>());
        foreach (var file in files)
        {
            var text = File.ReadAllText(copy.PathOf(file));
            var apart = Path.GetFileName(file) == "vocab.json" ? 100 : 8;
            foreach (var key in JsonNode.Parse(text)!.AsObject().Select(entry => entry.Key).ToList())
            {
                if (Asked is null && entries++ % apart != 0)
                {
                    continue;
                }

                // Others for each entry, so that all of them are tried somewhere.
                for (var i = 0; i < Math.Min(Count, Values.Length); i++, tried++)
                {
                    TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
                    var value = Values[Count < Values.Length ? tried % Values.Length : i];
                    copy.Set(file, key, "placeholder-of-the-value");
                    copy.Write(
                        file,
                        File.ReadAllText(copy.PathOf(file)).Replace("\"placeholder-of-the-value\"", value, StringComparison.Ordinal));
                    if (Fault(copy.Path, file, key) is { } fault)
                    {
                        faults.Add($"{file}: {key} = {value}: {fault}");
                    }

                    copy.Write(file, text);
                }
            }
        }

        Assert.True(faults.Count == 0, string.Join("\n\n", faults));
        Assert.InRange(tried, 1, int.MaxValue);
    }

    private static string? Fault(string folder, string file, string key)
    {
        try
        {
            using var pipeline = DiffusionPipeline.Load(folder, new PipelineOptions { Device = "cpu" });
            try
            {
                pipeline.Generate(
                    new GenerationRequest { Prompts = ["a red fox!"], Height = 64, Width = 64, Steps = 2, Seed = 1 }).Dispose();
                return null;
            }
            catch (NonFiniteException)
            {
                return null;
            }
        }
        catch (ModelFileException error)
        {
            // What the weights contradict is said with the tensors that do, and what a vocabulary's ids exceed, with the ids.
            var names = error.Message.Contains(key, StringComparison.Ordinal)
                || error.Message.Contains("has ids up to", StringComparison.Ordinal)
                || error is WeightMismatchException || error.Message.Contains("no valid JSON", StringComparison.Ordinal);
            return !error.Path.StartsWith(folder, StringComparison.Ordinal) ? $"The path is {error.Path}."
                : names ? null : $"The message does not name it: {error.Message}";
        }
        catch (Exception error)
        {
            return $"{error}";
        }
    }
}
