using StorySync.Attention;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

public class MemoryPlanTests
{
    // Of what a run takes, and what compiled code and small tensors take in addition.
    private const double Accuracy = 0.25;
    private const double Besides = 8e6;

    private const double NeverSkips = 1e-9;

    public static TheoryData<string, int, int, bool, bool> Runs => new()
    {
        { "storybook", 3, 256, true, false },
        { "storybook", 3, 256, true, true },
        { "storybook-flux", 3, 256, true, false },
        { "storybook-kandinsky3", 3, 256, true, false },
        { "tiny-sdxl", 3, 512, true, false },
        { "tiny-kandinsky3", 3, 512, true, false },
        { "tiny-kandinsky3", 3, 512, true, true },
        { "tiny-flux", 3, 512, true, false },
        { "tiny-flux", 3, 512, true, true },
        { "tiny-flux", 4, 512, false, false },
    };

    /// <summary>In a process of its own: what other tests have left in the heap would count as free.</summary>
    [Fact]
    public void Plans_hold_against_what_stories_take() =>
        ResidentMemory.AssertInOwnProcess($"{typeof(MemoryPlanTests).FullName}.{nameof(A_plan_holds_against_what_a_story_takes)}");

    [Theory(Explicit = true)]
    [MemberData(nameof(Runs))]
    public void A_plan_holds_against_what_a_story_takes(string model, int scenes, int size, bool techniques, bool caches)
    {
        using var pipeline = LoadedModels.Load(model);
        var options = Options(size).With(r => r with { BlockCacheThreshold = caches ? NeverSkips : 0 }) with { Techniques = techniques
            ? null : StoryAttentionOptions.Disabled };
        var plan = pipeline.PlanMemory(Frogs(scenes), options);

        // What is made once, such as compiled code, is not the story's.
        pipeline.GenerateStory(Frogs(2), options).Dispose();
        var watch = new StageWatch();
        pipeline.GenerateStory(Frogs(scenes), options, watch).Dispose();

        foreach (var stage in plan.Stages.Where(stage => stage.Stage != GenerationStage.Encoding))
        {
            var taken = watch.Peaks[stage.Stage];
            TestContext.Current.TestOutputHelper!.WriteLine(
                $"{stage.Stage}: planned {stage.ActivationBytes / 1e6:f1} MB, {stage.Largest}; taken {taken / 1e6:f1} MB");
            var least = (taken * (1 - Accuracy)) - Besides;
            Assert.True(least > 0, "The run is so small that a plan of nothing would hold.");
            Assert.InRange(stage.ActivationBytes, least, (taken * (1 + Accuracy)) + Besides);
        }
    }

    [Fact]
    public void Weights_are_counted_to_the_byte()
    {
        using var pipeline = LoadedModels.Load("storybook");
        var request = new GenerationRequest { Prompts = ["a frog"] };

        var plan = pipeline.PlanMemory(request);
        Assert.Equal(["text_encoder", "text_encoder_2", "unet", "vae"], plan.Weights.Select(w => w.Part));
        var unet = ((StableDiffusionXLPipeline)pipeline).UNet;
        Assert.Equal(unet.named_parameters().Sum(p => p.parameter.numel() * (StaysHalf(p.name, p.parameter.shape) ? 2 : 4)),
            plan.Weights[2].Bytes);
        Assert.Equal(plan.Weights.Sum(w => w.Bytes), plan.Stages[1].WeightBytes);

        var half = pipeline.PlanMemory(request, new PipelineOptions { Device = "cpu", Dtype = torch.bfloat16 });
        Assert.Equal(unet.parameters().Sum(p => p.numel() * 2), half.Weights[2].Bytes);

        // In bfloat16 no kernel gates while it projects.
        Assert.InRange(half.Stages[1].ActivationBytes, (plan.Stages[1].ActivationBytes / 2) + 1, plan.Stages[1].ActivationBytes - 1);

        // The file is in float16. Linear layers and convolutions with kernels of our own read that; the others' weights are converted.
        static bool StaysHalf(string name, long[] shape) => shape switch
        {
            [_, _] or [_, _, 1, 1] => true,
            [var outputs, var inputs, 3, 3] => outputs >= 32 && inputs >= 32 && !name.Contains("downsamplers", StringComparison.Ordinal),
            _ => false,
        };
    }

    [Fact]
    public void Advice_says_what_its_change_saves()
    {
        using var pipeline = LoadedModels.Load("storybook");
        var options = Options(512).With(r => r with { GuidanceScale = 1 });
        var plan = pipeline.PlanMemory(Frogs(4), options);

        var layout = plan.Advice.Single(a => a.Change.Contains("Layout.Until", StringComparison.Ordinal));
        var without = pipeline.PlanMemory(Frogs(4), options with { Techniques = new() { Layout = new() { Until = 0 } } });
        Assert.Equal(without.PeakBytes, layout.PeakBytes);
        Assert.Equal(plan.PeakBytes - without.PeakBytes, layout.SavedBytes);
        Assert.All(plan.Advice, advice => Assert.True(advice.SavedBytes > 0));
        Assert.True(plan.Fits(plan.PeakBytes));
        Assert.False(plan.Fits(plan.PeakBytes - 1));
        Assert.DoesNotContain(plan.Advice, a => a.Change.Contains("Offload", StringComparison.Ordinal));
    }

    /// <summary>The first block's answer, and what the blocks after it made: of a UNet's, the last on the way up but one.</summary>
    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public void A_block_cache_takes_what_it_keeps(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        var request = new GenerationRequest { Prompts = ["a frog", "a fox"], GuidanceScale = 4, Height = 256, Width = 256 };
        var (rows, values) = pipeline switch
        {
            Kandinsky3Pipeline kandinsky3 => (4, 2 * kandinsky3.UNet.Config.BlockOutChannels[0] * 16 * 16),
            FluxPipeline flux => (2, 2 * flux.Transformer.Config.NumAttentionHeads * flux.Transformer.Config.AttentionHeadDim * (
                256 / flux.SizeMultiple) * (256 / flux.SizeMultiple)),
            _ => (4, (96 * 16 * 16) + (160 * 32 * 32)),
        };

        var taken = pipeline.PlanMemory(request with { BlockCacheThreshold = 0.1 }).Stages[
            1].ActivationBytes - pipeline.PlanMemory(request).Stages[1].ActivationBytes;
        Assert.Equal(rows * values * sizeof(float), taken);
    }

    [Fact]
    public void With_guidance_the_unmodified_branch_takes_no_more()
    {
        using var pipeline = LoadedModels.Load("storybook");
        var plan = pipeline.PlanMemory(Frogs(4), Options(512));
        Assert.Equal(pipeline.PlanMemory(Frogs(4), Options(512) with { Techniques = StoryAttentionOptions.Disabled }).PeakBytes,
            plan.PeakBytes);
        Assert.DoesNotContain(plan.Advice, a => a.Change.Contains("Layout.Until", StringComparison.Ordinal));
    }

    [Fact]
    public void On_a_device_offloading_leaves_the_part_that_works()
    {
        using var pipeline = LoadedModels.Load("storybook");
        var request = new GenerationRequest { Prompts = ["a frog"] };
        var plan = pipeline.PlanMemory(request, new PipelineOptions { Device = "cuda" });
        var offloaded = pipeline.PlanMemory(request, new PipelineOptions { Device = "cuda", Offload = true });

        Assert.Equal(0, plan.HostBytes);
        Assert.Equal(plan.Weights.Sum(w => w.Bytes), offloaded.HostBytes);
        Assert.Equal(offloaded.Weights[0].Bytes + offloaded.Weights[1].Bytes, offloaded.Stages[0].WeightBytes);
        Assert.Equal(offloaded.Weights[2].Bytes, offloaded.Stages[1].WeightBytes);
        Assert.Equal(offloaded.Weights[3].Bytes, offloaded.Stages[2].WeightBytes);
        Assert.Equal(offloaded.PeakBytes, plan.Advice.Single(a => a.Change.Contains("Offload", StringComparison.Ordinal)).PeakBytes);
    }

    [Fact]
    public void A_bad_request_has_no_plan()
    {
        using var pipeline = LoadedModels.Load("storybook");
        Assert.Throws<ArgumentException>(() => pipeline.PlanMemory(new GenerationRequest { Prompts = ["a frog"], Height = 13 }));
    }

    private static StoryOptions Options(int size) =>
        new() { Request = new() { Steps = 2, GuidanceScale = 4, Height = size, Width = size } };

    private static Story Frogs(int scenes) => new()
    {
        Subjects = ["a frog"],
        Scenes = [.. Enumerable.Repeat(new Scene("a frog in the forest"), scenes)],
    };

    /// <summary>Keeps the most memory that each stage takes above what there was when it began.</summary>
    private sealed class StageWatch : IProgress<GenerationProgress>
    {
        private GenerationStage? stage;
        private long before;

        public Dictionary<GenerationStage, long> Peaks { get; } = [];

        public void Report(GenerationProgress value)
        {
            if (stage is { } passed)
            {
                Peaks[passed] = Math.Max(Peaks.GetValueOrDefault(passed), ResidentMemory.Peak - before);
            }

            // The first denoising report comes when a step is over; the step before it belongs to denoising too.
            stage = value.Stage == GenerationStage.Encoding ? GenerationStage.Denoising : value.Stage;
            before = ResidentMemory.StartWatch();
        }
    }
}
