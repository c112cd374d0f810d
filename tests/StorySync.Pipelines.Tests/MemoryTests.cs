using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Tensors of tests that run at the same time would be counted too.</summary>
[Collection(typeof(AloneCollection))]
public class MemoryTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly Story Frog = new()
    {
        Subjects = ["a frog"],
        Scenes = [new("a frog standing in the forest"), new("a frog waving at the beach")],
    };

    [Theory]
    [InlineData(1, 0)]
    [InlineData(0.5, 0)]
    [InlineData(1, 0.5)]
    [InlineData(0.5, 1e9)]
    public void A_story_leaves_no_tensor_behind(double guidanceEnd, double blockCacheThreshold) => LiveTensors.AssertNoneLeft(() =>
        model.Pipeline.GenerateStory(
            Frog, new StoryOptions { Request =
                new() { Steps = 3, GuidanceScale = 4, GuidanceEnd = guidanceEnd, BlockCacheThreshold = blockCacheThreshold } }).Dispose());

    [Theory]
    [InlineData(StoryBankForm.Trajectory)]
    [InlineData(StoryBankForm.Keys)]
    public void Banks_and_their_scenes_leave_no_tensor_behind(StoryBankForm form) => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        var drawn = new StoryOptions { Request = new() { Steps = 2, GuidanceScale = 4, Height = 64, Width = 64 }, BatchSize = 1 };
        var options = drawn with { BankForm = form };
        using (var bank = model.Pipeline.CreateBank(Frog, options))
        {
            bank.Save(folder.PathOf("frog"));
        }

        using var loaded = StoryBank.Load(folder.PathOf("frog"));
        model.Pipeline.GenerateScenes(loaded, [new("a frog"), new("a frog at home")], drawn).Dispose();
        model.Pipeline.GenerateStory(Frog, options with { Anchors = 1 }).Dispose();
        var bytes = File.ReadAllBytes(folder.PathOf("frog"));
        bytes[^1] ^= 1;
        File.WriteAllBytes(folder.PathOf("frog"), bytes);
        Assert.ThrowsAny<IOException>(() => model.Pipeline.GenerateScenes(loaded, [new("a frog")]));
        Assert.ThrowsAny<IOException>(() => StoryBank.Load(folder.PathOf("frog")));
        using var source = new CancellationTokenSource();
        var progress = new CancelAfterFirstStep(source);
        Assert.Throws<OperationCanceledException>(() =>
            model.Pipeline.GenerateStory(Frog, options with { Anchors = 1 }, progress, source.Token));
    });

    [Fact]
    public void Pictures_among_anchors_leave_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        var options = new StoryOptions { Request = new() { Steps = 2, GuidanceScale = 4, Height = 64, Width = 64 }, Anchors = 2 };
        var picture = new RgbImage(64, 64, new byte[64 * 64 * 3]);
        var story = Frog with { Scenes = [Frog.Scenes[0] with { Image = picture }, .. Frog.Scenes] };
        model.Pipeline.GenerateStory(story, options).Dispose();
        model.Pipeline.CreateBank(story with { Scenes = [story.Scenes[0]] }, options).Dispose();
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            model.Pipeline.GenerateStory(story, options, new CancelAfterFirstStep(source), source.Token));
    });

    [Fact]
    public void Previews_leave_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        var watch = new Watch();
        model.Pipeline.GenerateStory(Frog, new StoryOptions { Request = new() { Steps = 3, PreviewInterval = 1 } }, watch).Dispose();
        Assert.Equal(6, watch.Previews);
    });

    [Fact]
    public void A_cancelled_story_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var source = new CancellationTokenSource();
        var progress = new CancelAfterFirstStep(source);
        Assert.Throws<OperationCanceledException>(() => model.Pipeline.GenerateStory(
            Frog, new StoryOptions { Request = new() { Steps = 3, GuidanceScale = 4, BlockCacheThreshold = 0.5 } }, progress,
                source.Token));
    });

    [Fact]
    public void A_pipeline_frees_its_models_and_what_runs_made_of_them() => LiveTensors.AssertNoneLeft(() =>
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        pipeline.Generate(new GenerationRequest { Prompts = ["a frog"], Steps = 1 }).Dispose();
    });

    private sealed class Watch : IProgress<GenerationProgress>
    {
        public int Previews { get; private set; }

        public void Report(GenerationProgress value) => Previews += value.Previews?.Count ?? 0;
    }

    private sealed class CancelAfterFirstStep(CancellationTokenSource source) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            if (value.Step == 1)
            {
                source.Cancel();
            }
        }
    }
}
