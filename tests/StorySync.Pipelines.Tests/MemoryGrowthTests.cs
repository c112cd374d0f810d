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

    /// <summary>Keys lie in a file from the beginning: neither making nor reading them takes memory of their size.</summary>
    [Fact]
    public void Keys_of_anchors_are_not_in_memory()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        var options = new StoryOptions { Request = new() { Steps = 20, GuidanceScale = 4, Height = 128, Width = 128, Seed = 7 } };
        var anchors = new Story
        {
            Subjects = ["a frog"],
            Scenes = [new("a frog in the forest"), new("a frog at the beach"), new("a frog in the snow")],
        };
        pipeline.GenerateStory(anchors, options with { Request = options.Request! with { Steps = 2 } }).Dispose();
        var (bytes, tensors) = (ResidentMemory.Allocated(), torch.Tensor.TotalCount);
        using (var bank = pipeline.CreateBank(anchors, options with { BankForm = StoryBankForm.Keys }))
        {
            Assert.True(bank.Bytes > 2 * Margin, $"The bank has {bank.Bytes / 1e6:f1} MB.");
            AssertNotGrown("making a bank");
            Scene[] scenes = [new("a frog"), new("a frog on a boat"), new("a frog at night")];
            pipeline.GenerateScenes(bank, scenes, new() { BatchSize = 1 }).Dispose();
            AssertNotGrown("drawing three scenes");
        }

        Assert.Equal(tensors, torch.Tensor.TotalCount);

        void AssertNotGrown(string by)
        {
            var grown = ResidentMemory.Allocated() - bytes;
            Assert.True(grown <= Margin, $"{by} has grown the process by {grown / 1e6:f1} MB.");
        }
    }

    /// <summary>Of scenes that read anchors, what is drawn already is images on the managed heap and one tensor of latents a
    /// batch.</summary>
    [Fact]
    public void Sixty_four_scenes_take_no_more_memory_than_eight()
    {
        using var pipeline =
            StableDiffusionXLPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });
        _ = Most(pipeline, 8);
        var (bytes, tensors) = Most(pipeline, 8);
        var (bytesOfMany, tensorsOfMany) = Most(pipeline, 64);

        TestContext.Current.TestOutputHelper!.WriteLine($"{bytes / 1e6:f1} MB and {bytesOfMany / 1e6:f1} MB");
        Assert.Equal(tensors + 7, tensorsOfMany);
        Assert.True(bytesOfMany - bytes <= 1 << 20, $"64 scenes took {(bytesOfMany - bytes) / 1e6:f1} MB more than 8.");
    }

    /// <summary>The most native bytes and tensors after any step of a story of two anchors and further scenes, beyond those
    /// before.</summary>
    private static (long Bytes, long Tensors) Most(DiffusionPipeline pipeline, int further)
    {
        var (bytes, tensors) = (long.MinValue, long.MinValue);
        var (bytesBefore, tensorsBefore) = (ResidentMemory.Allocated(), torch.Tensor.TotalCount);
        using var story = pipeline.GenerateStory(
            new Story
            {
                Subjects = ["a frog"],
                Scenes = [.. Enumerable.Range(0, 2 + further).Select(i => new Scene($"a frog in place {i}"))],
            },
            new StoryOptions
            {
                Request = new()
                {
                    Steps = 2, GuidanceScale = 4, Height = 64, Width = 64, Seed = 3,
                    OnStep = _ => (bytes, tensors) =
                        (Math.Max(bytes, ResidentMemory.Allocated()), Math.Max(tensors, torch.Tensor.TotalCount)),
                },
                Anchors = 2,
                BatchSize = 8,
            });
        return (bytes - bytesBefore, tensors - tensorsBefore);
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
