using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>What cannot be is refused before it begins, and what is not a number never becomes an image.</summary>
public class LimitTests(StorybookModel storybook, FluxModel flux) : IClassFixture<StorybookModel>, IClassFixture<FluxModel>
{
    private static readonly GenerationRequest Cat = new() { Prompts = ["a cat"], Steps = 2, Seed = 1 };

    public static TheoryData<string, GenerationRequest> OutOfRange() => new()
    {
        { "Width is 2147483640", Cat with { Width = 2_147_483_640, Height = 64 } },
        { "Height is 2147483640", Cat with { Width = 64, Height = 2_147_483_640 } },
        { "Height is -8", Cat with { Height = -8 } },
        { "is for 4294967298 images", Cat with { Prompts = ["a", "b", "c"], ImagesPerPrompt = 1_431_655_766 } },
        { "Steps is 1000000000; it must be from 1 to 10000", Cat with { Steps = 1_000_000_000 } },
    };

    public static TheoryData<string, GenerationRequest> TooLarge() => new()
    {
        { "1 image of 100000×100000 needs", Cat with { Width = 100_000, Height = 100_000 } },
        { "1 image of 80000×80000 needs", Cat with { Width = 80_000, Height = 80_000 } },
        { "1000000 images of 64×64 need", Cat with { Width = 64, Height = 64, ImagesPerPrompt = 1_000_000 } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange), DisableDiscoveryEnumeration = true)]
    public void A_number_out_of_range_is_named_by_run_and_plan(string part, GenerationRequest request)
    {
        foreach (var pipeline in (DiffusionPipeline[])[storybook.Pipeline, flux.Schnell])
        {
            Assert.Contains(part, Assert.Throws<ArgumentException>(() => pipeline.Generate(request)).Message, StringComparison.Ordinal);
            Assert.Contains(part, Assert.Throws<ArgumentException>(() => pipeline.PlanMemory(request)).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(TooLarge), DisableDiscoveryEnumeration = true)]
    public void What_does_not_fit_into_memory_is_refused_with_what_it_needs_what_there_is_and_advice(string part, GenerationRequest request)
    {
        foreach (var pipeline in (DiffusionPipeline[])[storybook.Pipeline, flux.Schnell])
        {
            var plan = pipeline.PlanMemory(request);
            Assert.True(plan.PeakBytes > 50_000_000_000, plan.ToString());
            Assert.All(plan.Stages, stage => Assert.True(stage.Bytes > 0));

            var stages = new List<GenerationStage>();
            var error = Assert.Throws<InsufficientMemoryException>(() => pipeline.Generate(request, new Recorder(stages)));
            Assert.StartsWith(part, error.Message, StringComparison.Ordinal);
            Assert.Contains("which has", error.Message, StringComparison.Ordinal);
            Assert.Contains("Less is needed with", error.Message, StringComparison.Ordinal);
            Assert.Contains("ChecksMemory = false", error.Message, StringComparison.Ordinal);
            Assert.Empty(stages);
        }
    }

    [Fact]
    public void A_story_of_too_many_scenes_is_refused_before_its_prompts_are_read()
    {
        var story = new Story { Subjects = ["a bear"], Scenes = [.. Enumerable.Repeat(new Scene("nothing of it"), 100_000)] };
        var error = Assert.Throws<InsufficientMemoryException>(
            () => storybook.Pipeline.GenerateStory(story, new StoryOptions { Request = new() { Height = 128, Width = 128 } }));

        Assert.StartsWith("100000 images of 128×128 need", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_the_check_a_generation_goes_on_regardless()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu", ChecksMemory = false });
        using var source = new CancellationTokenSource();
        source.Cancel();

        // It begins: nothing but the token stops it.
        Assert.Throws<OperationCanceledException>(() =>
            pipeline.Generate(Cat with { Width = 80_000, Height = 80_000 }, cancellationToken: source.Token));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Latents_that_become_infinite_name_the_step(int atStep)
    {
        var error = Assert.Throws<NonFiniteException>(() => storybook.Pipeline.Generate(Cat with { OnStep = step => Spoil(step, atStep) }));

        // What a callback writes is seen one step later.
        Assert.Contains(atStep == 1 ? "After step 2 of 2 the latents" : "The decoded images", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_weight_is_said_to_be_the_likely_cause_and_no_image_is_made()
    {
        using var pipeline =
            StableDiffusionXLPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });
        using (no_grad())
        {
            pipeline.UNet.get_parameter("conv_out.bias")!.fill_(double.NaN);
        }

        var error = Assert.Throws<NonFiniteException>(() => pipeline.Generate(Cat with { Height = 64, Width = 64 }));
        Assert.Contains("After step 1 of 2", error.Message, StringComparison.Ordinal);
        Assert.Contains("a weight of the denoiser", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Given_latents_that_are_not_numbers_are_refused()
    {
        using var latents = full(1, 4, 16, 16, double.NaN);
        Assert.Contains("Latents has infinite or NaN", Assert.Throws<ArgumentException>(() =>
            storybook.Pipeline.Generate(Cat with { Latents = latents })).Message, StringComparison.Ordinal);
    }

    private static void Spoil(DenoisingStep step, int atStep)
    {
        if (step.Index + 1 == atStep)
        {
            step.Latents.fill_(double.PositiveInfinity);
        }
    }

    private sealed class Recorder(List<GenerationStage> seen) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => seen.Add(value.Stage);
    }
}
