using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

public class PipelineOptionsTests
{
    private static readonly GenerationRequest Request =
        new() { Prompts = ["a frog waving at the beach"], Steps = 2, GuidanceScale = 3, Seed = 0, LatentsOnly = true };

    [Fact]
    public void Offloading_changes_no_bit_of_the_result()
    {
        using var resident = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        using var offloaded = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu", Offload = true });
        using var expected = resident.Generate(Request);
        using var actual = offloaded.Generate(Request);

        TensorAssert.SameBits(expected.Latents, actual.Latents);
    }

    [Theory]
    [InlineData(torch.ScalarType.BFloat16)]
    [InlineData(torch.ScalarType.Float16)]
    public void Half_precision_comes_close_to_float32(torch.ScalarType dtype)
    {
        using var full = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        using var half = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu", Dtype = dtype });
        using var noise = Seeded.Normal(1, 4, 16, 16);
        using var expected = full.Generate(Request with { Latents = noise });
        using var actual = half.Generate(Request with { Latents = noise });

        Assert.Equal(dtype, actual.Latents.dtype);
        var difference = (actual.Latents.to(torch.float32) - expected.Latents).abs().mean() / expected.Latents.abs().mean();
        Assert.InRange(difference.item<float>(), 0, 0.05f);
    }

    [Theory]
    [InlineData("tpu")]
    [InlineData("cuda:x")]
    public void An_unknown_device_is_refused(string device) =>
        Assert.Contains(device, Assert.Throws<ArgumentException>(() => new PipelineOptions { Device = device }.ResolveDevice()).Message,
            StringComparison.Ordinal);

    [Fact]
    public void A_device_that_is_not_there_is_refused()
    {
        Assert.SkipWhen(torch.cuda.is_available(), "This machine has a CUDA device.");
        Assert.Contains("no CUDA device", Assert.Throws<ArgumentException>(() =>
            new PipelineOptions { Device = "cuda" }.ResolveDevice()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_of_an_unknown_class_is_refused()
    {
        using var folder = new TemporaryFolder();
        folder.Write("model_index.json", """{ "_class_name": "AudioLDMPipeline" }""");
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(folder.Path));
        Assert.Contains("AudioLDMPipeline", error.Message, StringComparison.Ordinal);
        Assert.Contains("StableDiffusionXLPipeline", error.Message, StringComparison.Ordinal);
    }
}
