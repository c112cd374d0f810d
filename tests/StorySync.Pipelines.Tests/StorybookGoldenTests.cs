using System.Text.Json;
using StorySync.Diffusion.Weights;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>The embedded model's own goldens: what diffusers makes of a prompt and a seed.</summary>
public class StorybookGoldenTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    // Guidance and twenty steps amplify the last bits, in which two builds of libtorch differ.
    private const double LatentTolerance = 2e-3;

    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "models", "storybook", "goldens");

    public static TheoryData<int> Goldens()
    {
        using var index = Index();
        return [.. Enumerable.Range(0, index.RootElement.GetArrayLength())];
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void Same_prompt_and_seed_make_the_picture_that_diffusers_makes(int number)
    {
        using var index = Index();
        var golden = index.RootElement[number];
        using var expectedLatents = SafetensorsFile.Open(Path.Combine(Folder, "latents.safetensors"));
        using var expected = expectedLatents.Read(golden.GetProperty("latents").GetString()!);
        var worst = 0.0;

        using var result = model.Pipeline.Generate(new GenerationRequest
        {
            Prompts = [golden.GetProperty("prompt").GetString()!],
            NegativePrompts = golden.GetProperty("negative_prompt").GetString() is { } negative ? [negative] : null,
            Seed = golden.GetProperty("seed").GetInt64(),
            Steps = golden.GetProperty("steps").GetInt32(),
            GuidanceScale = golden.GetProperty("guidance_scale").GetDouble(),
            Height = golden.GetProperty("height").GetInt32(),
            Width = golden.GetProperty("width").GetInt32(),
            OnStep = step => worst = Math.Max(worst, (step.Latents - expected[step.Index]).abs().max().item<float>()),
        });

        Assert.InRange(worst, 0, LatentTolerance);
        var picture = RgbImage.Load(Path.Combine(Folder, golden.GetProperty("png").GetString()!));
        var off = picture.Pixels.ToArray().Zip(result.Images[0].Pixels.ToArray(), (a, b) => Math.Abs(a - b)).Max();
        Assert.InRange(off, 0, 1);
    }

    private static JsonDocument Index() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "index.json")));
}
