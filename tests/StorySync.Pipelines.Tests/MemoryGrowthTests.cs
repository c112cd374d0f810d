using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

[Collection(typeof(AloneCollection))]
public class MemoryGrowthTests
{
    private const int WarmUp = 10;
    private const int Stories = 50;
    private const long Margin = 16 << 20;

    [Fact]
    public void Fifty_stories_take_no_more_memory_than_ten()
    {
        using var pipeline =
            StableDiffusionXLPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });
        Make(pipeline, WarmUp);
        var (bytes, tensors) = (ResidentMemory.Allocated(), torch.Tensor.TotalCount);

        Make(pipeline, Stories);
        var grown = ResidentMemory.Allocated() - bytes;

        Assert.Equal(tensors, torch.Tensor.TotalCount);
        TestContext.Current.TestOutputHelper!.WriteLine($"grown by {grown / 1e6:f1} MB");
        Assert.True(grown <= Margin, $"{Stories} stories have grown the process by {grown / 1e6:f1} MB.");
    }

    private static void Make(DiffusionPipeline pipeline, int count)
    {
        for (var i = 0; i < count; i++)
        {
            pipeline.GenerateStory(
                new Story { Subjects = ["a frog"], Scenes = [new("a frog in the forest"), new("a frog at the beach")] },
                new StoryOptions { Request = new() { Steps = 2, GuidanceScale = 4, Height = 64, Width = 64, Seed = i } }).Dispose();
        }
    }
}
