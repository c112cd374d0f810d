using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>The small models' own goldens (<c>tests/Reference/make_trained_goldens.py</c>): what diffusers makes of a prompt and a seed, so
/// that parity on trained weights is shown for each architecture with nothing but the repository.</summary>
public class StorybookGoldenTests
{
    private static readonly string Models = Path.Combine(AppContext.BaseDirectory, "models");

    public static TheoryData<string, int> Goldens()
    {
        var data = new TheoryData<string, int>();
        foreach (var model in (string[])["storybook", "storybook-flux", "storybook-kandinsky3"])
        {
            using var index = Index(model);
            for (var number = 0; number < index.RootElement.GetArrayLength(); number++)
            {
                data.Add(model, number);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void Same_prompt_and_seed_make_the_picture_that_diffusers_makes(string model, int number)
    {
        using var pipeline = DiffusionPipeline.Load(Path.Combine(Models, model), new PipelineOptions { Device = "cpu" });
        using var index = Index(model);
        var golden = index.RootElement[number];
        using var expectedLatents = SafetensorsFile.Open(Path.Combine(FolderOf(model), "latents.safetensors"));
        using var expected = expectedLatents.Read(golden.GetProperty("latents").GetString()!);
        double[] tolerances = golden.GetProperty("tolerances").Deserialize<double[]>()!;
        var request = new GenerationRequest
        {
            Prompts = [golden.GetProperty("prompt").GetString()!],
            NegativePrompts = golden.GetProperty("negative_prompt").GetString() is { } negative ? [negative] : null,
            Seed = golden.GetProperty("seed").GetInt64(),
            Steps = golden.GetProperty("steps").GetInt32(),
            GuidanceScale = golden.TryGetProperty("guidance_scale", out var scale) ? scale.GetDouble() : null,
            Height = golden.GetProperty("height").GetInt32(),
            Width = golden.GetProperty("width").GetInt32(),
            OnStep = step => TensorAssert.Close(expected[step.Index], step.Latents, relative: 0, tolerances[step.Index]),
        };
        using var result = pipeline.Generate(golden.TryGetProperty("true_cfg_scale", out var real)
            ? new FluxRequest
            {
                Prompts = request.Prompts,
                NegativePrompts = request.NegativePrompts,
                Seed = request.Seed,
                Steps = request.Steps,
                TrueCfgScale = real.GetDouble(),
                Height = request.Height,
                Width = request.Width,
                OnStep = request.OnStep,
            }
            : request);

        var picture = RgbImage.Load(Path.Combine(FolderOf(model), golden.GetProperty("png").GetString()!));
        var off = picture.Pixels.ToArray().Zip(result.Images[0].Pixels.ToArray(), (a, b) => Math.Abs(a - b)).Max();
        Assert.InRange(off, 0, 1);
    }

    private static string FolderOf(string model) => Path.Combine(Models, model, "goldens");

    private static JsonDocument Index(string model) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(FolderOf(model), "index.json")));
}
