using System.Globalization;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Steps that leave the deeper blocks out, against diffusers: its own first-block cache for FLUX, and for the UNets what
/// <c>Goldens/block-cache/make_golden.py</c> makes of its blocks.</summary>
public class BlockCacheTests(StorybookModel storybook, FluxModel flux, Kandinsky3Model kandinsky3)
    : IClassFixture<StorybookModel>, IClassFixture<FluxModel>, IClassFixture<Kandinsky3Model>
{
    private const int Steps = 10;

    private static readonly GenerationRequest Two = new()
    {
        Prompts = ["a red fox in the snow", "a cat"], Steps = Steps, Height = 64, Width = 64, Seed = 0, LatentsOnly = true,
    };

    private static readonly GenerationRequest Golden = Two with { Prompts = ["a red fox in the snow", "the owl reads"] };

    private static readonly Story Bear = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly StoryOptions Quick =
        new() { Request = new() { Steps = Steps, GuidanceScale = 4, Seed = 5, BlockCacheThreshold = 0.3 } };

    [Theory]
    [InlineData("0.65")]
    [InlineData("0.8")]
    public void FLUX_skips_the_steps_that_diffusers_skips(string threshold)
    {
        using var pipeline = Load("tiny-flux");
        CheckAgainstDiffusers("flux", threshold, pipeline, new FluxRequest
        {
            Prompts = Golden.Prompts, Steps = Steps, Height = 32, Width = 32, LatentsOnly = true, MaxSequenceLength = 32,
        });
    }

    [Theory]
    [InlineData("0.2")]
    [InlineData("0.4")]
    public void SDXL_keeps_what_its_deep_blocks_gave(string threshold)
    {
        using var pipeline = Load("tiny-sdxl");
        CheckAgainstDiffusers("sdxl", threshold, pipeline, Golden with { Height = 32, Width = 32 });
    }

    [Theory]
    [InlineData("0.73")]
    [InlineData("0.8")]
    public void Kandinsky_3_keeps_what_its_deep_blocks_gave(string threshold)
    {
        using var pipeline = Load("tiny-kandinsky3");
        pipeline.Scheduler = new DDIMScheduler(new DDIMSchedulerConfig
        {
            BetaStart = 0.00085, BetaEnd = 0.012, BetaSchedule = "squaredcos_cap_v2", StepsOffset = 1,
        });
        CheckAgainstDiffusers("kandinsky3", threshold, pipeline, new Kandinsky3Request
        {
            Prompts = Golden.Prompts, Steps = Steps, Height = 64, Width = 64, LatentsOnly = true, GuidanceScale = 1,
                CutsToLongestPrompt = true,
        });
    }

    [Fact]
    public void At_a_threshold_that_no_step_stays_below_no_bit_changes()
    {
        Check(storybook.Pipeline, Two);
        Check(flux.Schnell, Two);
        Check(kandinsky3.Pipeline, Two);

        static void Check(DiffusionPipeline pipeline, GenerationRequest request)
        {
            using var exact = pipeline.Generate(request);
            using var cached = pipeline.Generate(request with { BlockCacheThreshold = 1e-9 });
            TensorAssert.SameBits(exact.Latents, cached.Latents);
        }
    }

    [Fact]
    public void A_batch_of_other_rows_is_computed()
    {
        var always = Two with { BlockCacheThreshold = 1e9 };

        Assert.Equal([0], ComputedSteps(storybook.Pipeline, always));
        Assert.Equal([0, 5], ComputedSteps(storybook.Pipeline, always with { GuidanceEnd = 0.5 }));
    }

    [Fact]
    public void A_storys_steps_are_computed_when_the_unmodified_branch_leaves_and_when_guidance_ends()
    {
        var (deep, computed) = (0, new List<bool>());
        var middle = (nn.Module<Tensor, Tensor>)storybook.Pipeline.UNet.named_modules().Single(m =>
            m.name == "mid_block.attentions.0.proj_in").module;
        var hook = middle.register_forward_hook((_, _, answer) =>
        {
            deep++;
            return answer;
        });
        var progress = new StepWatch(() =>
        {
            computed.Add(deep > 0);
            deep = 0;
        });
        using var story = storybook.Pipeline.GenerateStory(
            Bear, Quick.With(r => r with { BlockCacheThreshold = 1e9, GuidanceEnd = 0.5 }), progress);
        hook.remove();

        // The unmodified branch is there in the first three of ten steps.
        Assert.Equal([true, false, false, true, false, true, false, false, false, false], computed);
        Assert.All(story.Scenes, scene => Assert.InRange(scene.Subjects[0].Region!.Area, 0.01, 0.99));
    }

    [Fact]
    public async Task Two_runs_at_once_are_what_each_is_alone()
    {
        GenerationRequest[] requests = [Two with { BlockCacheThreshold = 0.3 }, Two with { Seed = 5, BlockCacheThreshold = 0.2 }, Two];
        var alone = requests.Select(request => storybook.Pipeline.Generate(request)).ToList();
        var together = await Task.WhenAll(requests.Select(request => storybook.Pipeline.GenerateAsync(request)));
        using var story = storybook.Pipeline.GenerateStory(Bear, Quick);
        using var again = storybook.Pipeline.GenerateStory(Bear, Quick);

        Assert.All(alone.Zip(together), pair => TensorAssert.SameBits(pair.First.Latents, pair.Second.Latents));
        Assert.False(alone[0].Latents.SameBitsAs(alone[2].Latents));
        TensorAssert.SameBits(story.Latents, again.Latents);
        alone.Concat(together).ToList().ForEach(result => result.Dispose());
    }

    private static void CheckAgainstDiffusers(string name, string threshold, DiffusionPipeline pipeline, GenerationRequest request)
    {
        using var golden = SafetensorsFile.Open(
            Path.Combine(ReferenceData.RepositoryRoot, "tests", "StorySync.Pipelines.Tests", "Goldens", "block-cache",
                "golden.safetensors"));
        using var scope = NewDisposeScope();
        using var recorder = new RecordingProcessor();
        using var result = pipeline.Generate(request with
        {
            Latents = golden.Read($"{name}.{threshold}.noise"),
            BlockCacheThreshold = double.Parse(threshold, CultureInfo.InvariantCulture),
            AttentionProcessor = recorder,
        });

        var computed = golden.Read($"{name}.{threshold}.computed").nonzero().flatten().data<long>().Select(step => (int)step);
        Assert.Equal(computed, ComputedSteps(recorder));
        var expected = golden.Read($"{name}.{threshold}.latents");
        var tolerance = double.Parse(golden.Metadata[$"{name}.{threshold}.latents"], CultureInfo.InvariantCulture);
        TensorAssert.Close(expected, result.Latents, relative: 0, tolerance);
    }

    private static DiffusionPipeline Load(string model) =>
        DiffusionPipeline.Load(Path.Combine(ReferenceData.OwnRoot, "models", model), new PipelineOptions { Device = "cpu" });

    private static IEnumerable<int> ComputedSteps(DiffusionPipeline pipeline, GenerationRequest request)
    {
        using var recorder = new RecordingProcessor();
        using var result = pipeline.Generate(request with { AttentionProcessor = recorder });
        return ComputedSteps(recorder);
    }

    /// <summary>The steps in which as many layers attended as in the first.</summary>
    private static IEnumerable<int> ComputedSteps(RecordingProcessor recorder)
    {
        var steps = recorder.Calls.GroupBy(call => call.Step, (step, calls) => (step, Layers: calls.Count())).ToList();
        return steps.Where(step => step.Layers == steps[0].Layers).Select(step => step.step);
    }

    private sealed class StepWatch(Action onStep) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            if (value is { Stage: GenerationStage.Denoising })
            {
                onStep();
            }
        }
    }
}
