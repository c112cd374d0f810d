using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines.Tests;

/// <summary>Files of weights are closed when nothing needs them, without waiting for the collector.</summary>
public class OpenFileTests
{
    [Fact]
    public void A_disposed_pipeline_has_none_open()
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using (DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }))
        {
            Assert.NotEmpty(OpenFiles(copy));
        }

        Assert.Empty(OpenFiles(copy));
    }

    /// <summary>Other parts were loaded by then.</summary>
    [Theory]
    [InlineData("unet/config.json", "{}")]
    [InlineData("vae/config.json", "{}")]
    [InlineData("vae/diffusion_pytorch_model.safetensors", "nothing")]
    public void A_model_that_cannot_be_loaded_leaves_none_open(string file, string content)
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true).Write(file, content);
        Assert.ThrowsAny<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }));
        Assert.Empty(OpenFiles(copy));
    }

    private static string[] OpenFiles(ModelCopy copy)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Open files are read from /proc, which Linux alone has.");
        return [.. Directory.GetFiles("/proc/self/fd").Select(file => new FileInfo(file).LinkTarget ?? "").Where(target =>
            target.StartsWith(copy.Path, StringComparison.Ordinal))];
    }
}
