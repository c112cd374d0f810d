using System.CommandLine;
using System.Globalization;
using StorySync.Pipelines;

namespace StorySync.Benchmarks;

/// <summary>What rounding weights costs and saves: the images of a model with 8-bit weights against those of its own.</summary>
internal static class Quantization
{
    private static readonly string[] Prompts =
        ["a rabbit standing in the forest", "a frog waving at the beach", "a bear jumping in the snow", "a cat sitting in the city"];

    public static Command Command()
    {
        var folder = new Option<string>("--folder")
        {
            DefaultValueFactory = _ => "storybook", Description = "A model folder, a single file, or storybook.",
        };
        var config = new Option<string?>("--config") { Description = "The folder with a single file's configs." };
        var seeds = PositiveOption.Create("--seeds", 6, "Seeds, each for four images.");
        var side = new Option<int?>("--side") { Description = "Height and width in pixels; by default the model's." };
        var steps = new Option<int?>("--steps") { Description = "Denoising steps; by default the model's." };
        var command = new Command("quantization", "Error and memory of WeightQuantization.Int8 against the exact images.")
        {
            folder, config, seeds, side, steps,
        };
        command.SetAction(parsed =>
        {
            var options = new PipelineOptions { Device = "cpu", Config = parsed.GetValue(config) };
            using var exact = DiffusionPipeline.Load(parsed.GetValue(folder)!, options);
            using var rounded = DiffusionPipeline.Load(
                parsed.GetValue(folder)!, options with { Quantization = WeightQuantization.Int8 });
            var differences = new List<(double Psnr, int Largest, double Mean)>();
            for (var seed = 0; seed < parsed.GetValue(seeds); seed++)
            {
                var request = new GenerationRequest
                {
                    Prompts = Prompts, Seed = 100 * seed, Steps = parsed.GetValue(steps), Height = parsed.GetValue(side),
                    Width = parsed.GetValue(side),
                };
                using var first = exact.Generate(request);
                using var second = rounded.Generate(request);
                differences.AddRange(first.Images.Zip(second.Images, Difference));
            }

            var (before, after) = (Weights(exact), Weights(rounded));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{differences.Count} images: PSNR {differences.Average(d => d.Psnr):f1} dB (least {differences.Min(d => d.Psnr):f1}), "
                    + $"largest difference {differences.Max(d => d.Largest)} of 255, mean {differences.Average(d => d.Mean):f2}; "
                    + $"weights {before / 1048576.0:f1} → {after / 1048576.0:f1} MiB"));
        });
        return command;
    }

    private static long Weights(DiffusionPipeline pipeline) =>
        pipeline.PlanMemory(new GenerationRequest { Prompts = ["a"] }).Weights.Sum(part => part.Bytes);

    private static (double Psnr, int Largest, double Mean) Difference(RgbImage first, RgbImage second)
    {
        int[] differences = [.. first.Pixels.ToArray().Zip(second.Pixels.ToArray(), (a, b) => Math.Abs(a - b))];
        var squares = differences.Average(d => (double)d * d);
        return (squares == 0 ? 99 : 10 * Math.Log10(255 * 255 / squares), differences.Max(), differences.Average());
    }
}
