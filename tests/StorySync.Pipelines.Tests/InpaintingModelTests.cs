using System.Globalization;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A UNet that reads mask and masked image after the latents (SDXL inpainting): what it is given, and from which random
/// numbers, in the order of diffusers' <c>StableDiffusionXLInpaintPipeline</c>.</summary>
public sealed class InpaintingModelTests : IDisposable
{
    private const int Side = 128;

    private readonly TemporaryFolder folder = new();
    private readonly StableDiffusionXLPipeline pipeline;
    private readonly RgbImage picture = new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i * 7 % 251))]);
    private readonly RgbImage mask =
        new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i < Side * Side ? 255 : 0))]);

    public InpaintingModelTests()
    {
        var embedded = ModelFolder.Open("storybook");
        foreach (var entry in Directory.EnumerateDirectories(embedded.Path).Where(entry => Path.GetFileName(entry) != "unet"))
        {
            Directory.CreateSymbolicLink(folder.PathOf(Path.GetFileName(entry)), entry);
        }

        File.Copy(Path.Combine(embedded.Path, "model_index.json"), folder.PathOf("model_index.json"));
        WriteUNet(embedded, Directory.CreateDirectory(folder.PathOf("unet")).FullName);
        pipeline = StableDiffusionXLPipeline.Load(folder.Path, new PipelineOptions { Device = "cpu" });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0.5)]
    public void The_denoiser_reads_latents_mask_and_masked_picture(double strength)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        Tensor? given = null;
        pipeline.UNet.register_forward_hook((_, inputs, _, answer) =>
        {
            given ??= inputs.Sample.clone().DetachFromDisposeScope();
            return answer;
        });
        using var result = pipeline.Generate(Request with { Strength = strength });

        using var golden = new Golden("inpainting.safetensors");
        var sample = string.Create(CultureInfo.InvariantCulture, $"sample.{strength}");
        var expected = golden[sample];
        Assert.Equal(expected.shape, given!.shape);
        Assert.InRange((given - expected).abs().max().item<float>(), 0, golden[sample + ".tolerance"].item<float>());
        given.Dispose();
    }

    [Fact]
    public void Without_a_mask_it_says_that_it_needs_one()
    {
        var exception = Assert.Throws<ArgumentException>(() => pipeline.Generate(new GenerationRequest { Prompts = ["a fox"] }));
        Assert.Contains("in_channels is 9", exception.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        pipeline.Dispose();
        folder.Dispose();
    }

    private GenerationRequest Request => new()
    {
        Prompts = ["a fox"], Images = [picture], Mask = mask, Steps = 2, GuidanceScale = 1, Seed = 5, LatentsOnly = true,
    };

    /// <summary>The embedded model's UNet with five more channels to read.</summary>
    private static void WriteUNet(ModelFolder embedded, string path)
    {
        var config = JsonNode.Parse(File.ReadAllText(embedded.FilePath("unet", "config.json")))!;
        config["in_channels"] = 9;
        File.WriteAllText(Path.Combine(path, "config.json"), config.ToJsonString());

        const string Widened = "conv_in.weight";
        using var weights = embedded.OpenWeights("unet");
        SafetensorsWriter.Write(
            Path.Combine(path, "diffusion_pytorch_model.safetensors"),
            weights.Tensors.Values.Select(info => info.Name == Widened ? new TensorInfo(info.Name, info.Dtype, [info.Shape[0], 9, 3, 3])
                : info),
            name => name == Widened ? cat([weights.Read(name), weights.Read(name), weights.Read(name)[.., ..1]], dim: 1)
                : weights.Read(name));
    }
}
