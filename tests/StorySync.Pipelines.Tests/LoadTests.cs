using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

[Collection(typeof(AloneCollection))]
public class LoadTests
{
    private static readonly PipelineOptions Cpu = new() { Device = "cpu" };

    [Fact]
    public async Task Loading_tells_of_each_part()
    {
        var seen = new Seen(_ => { });
        using var pipeline = await StableDiffusionXLPipeline.LoadAsync("storybook", Cpu, seen, TestContext.Current.CancellationToken);

        Assert.Equal(["text_encoder", "text_encoder_2", "unet", "vae"], seen.Parts);
    }

    [Fact]
    public void A_loading_that_is_cancelled_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var source = new CancellationTokenSource();
        var seen = new Seen(part => (part == "unet" ? source : null)?.Cancel());

        Assert.Throws<OperationCanceledException>(() => DiffusionPipeline.Load("storybook", Cpu, seen, source.Token));
        Assert.Equal("unet", seen.Parts[^1]);
    });

    [Fact]
    public async Task A_cancelled_task_is_cancelled()
    {
        using var source = new CancellationTokenSource();
        await source.CancelAsync();
        var loading = DiffusionPipeline.LoadAsync("storybook", Cpu, cancellationToken: source.Token);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => loading);
        Assert.True(loading.IsCanceled);
    }

    [Fact]
    public void A_folder_of_another_model_says_what_it_is()
    {
        var error = Assert.Throws<ModelFileException>(() => FluxPipeline.Load("storybook", Cpu));

        Assert.Contains("'_class_name' is StableDiffusionXLPipeline, which is a model for StableDiffusionXLPipeline.Load", error.Message,
            StringComparison.Ordinal);
        Assert.Contains("FluxPipeline expects FluxPipeline", error.Message, StringComparison.Ordinal);
    }

    private sealed class Seen(Action<string> report) : IProgress<LoadProgress>
    {
        public List<string> Parts { get; } = [];

        public void Report(LoadProgress value)
        {
            Assert.Equal(Parts.Count, value.Loaded);
            Parts.Add(value.Part);
            report(value.Part);
        }
    }
}
