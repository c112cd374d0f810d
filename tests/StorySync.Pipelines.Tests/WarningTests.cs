using Microsoft.Extensions.Logging;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>What has no effect is reported, in the result and to the logger.</summary>
public class WarningTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly GenerationRequest Plain = new() { Prompts = ["a cat"], Steps = 1, Seed = 0, LatentsOnly = true };

    private static readonly Story Bear = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly StoryOptions Quick = new() { Request = new() { Steps = 1, Seed = 0 } };

    public static TheoryData<string, GenerationRequest> WithoutEffect() => new()
    {
        { "Strength has no effect", Plain with { Strength = 0.5 } },
        { "Seed has no effect", Plain with { Seeds = [3] } },
        { "Eta has no effect: it is for DDIMScheduler and TCDScheduler, and the scheduler is EulerDiscreteScheduler",
            Plain with { Eta = 1, Scheduler = "EulerDiscreteScheduler" } },
        { "GuidanceEnd has no effect", Plain with { GuidanceScale = 1, GuidanceEnd = 0.5 } },
        { "GuidanceEnd has no effect: with 1 steps, all are in the first 0.5", Plain with { GuidanceScale = 4, GuidanceEnd = 0.5 } },
        { "BlockCacheThreshold has no effect", Plain with { BlockCacheThreshold = 0.1 } },
        { "PreviewInterval has no effect", Plain with { PreviewInterval = 1 } },
        { "NegativePrompts has no effect", Plain with { GuidanceScale = 1, NegativePrompts = ["a dog"] } },
        { "NegativePrompts2 has no effect",
            new StableDiffusionXLRequest { Prompts = ["a cat"], Steps = 1, GuidanceScale = 1, NegativePrompts2 = ["a dog"] } },
        { "GuidanceRescale has no effect",
            new StableDiffusionXLRequest { Prompts = ["a cat"], Steps = 1, GuidanceScale = 1, GuidanceRescale = 0.5 } },
        { "NegativeTargetSize", new StableDiffusionXLRequest { Prompts = ["a cat"], Steps = 1, NegativeTargetSize = (64, 64) } },
    };

    [Theory]
    [MemberData(nameof(WithoutEffect), DisableDiscoveryEnumeration = true)]
    public void An_option_without_effect_is_told_of(string text, GenerationRequest request)
    {
        using var result = model.Pipeline.Generate(request);

        var warning = Assert.Single(result.Warnings);
        Assert.Equal(GenerationWarningCode.OptionWithoutEffect, warning.Code);
        Assert.Contains(text, warning.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("EulerDiscreteScheduler", true)]
    [InlineData("EulerAncestralDiscreteScheduler", false)]
    public void A_seed_without_effect_is_told_of(string scheduler, bool isWithoutEffect)
    {
        using var noise = zeros(model.Pipeline.LatentShape(1, 64, 64));
        using var result = model.Pipeline.Generate(
            Plain with { Latents = noise, Height = 64, Width = 64, Steps = 2, Scheduler = scheduler });
        Assert.Equal(
            isWithoutEffect, result.Warnings.Any(warning => warning.Message.StartsWith("Seed has no effect", StringComparison.Ordinal)));
        Assert.InRange(result.Warnings.Count, 0, 1);
    }

    [Fact]
    public void A_usual_generation_and_story_warn_of_nothing()
    {
        using var result = model.Pipeline.Generate(Plain with { NegativePrompts = ["a dog"], GuidanceScale = 4 });
        using var story = model.Pipeline.GenerateStory(Bear, Quick.With(r => r with { Steps = 4 }));

        Assert.Empty(result.Warnings);
        Assert.Empty(story.Warnings);
    }

    [Fact]
    public void A_prompt_that_is_cut_is_told_of_with_what_was_cut()
    {
        var fits = string.Join(' ', Enumerable.Repeat("cat", model.Pipeline.Tokenizer.ModelMaxLength - 2));
        using var result = model.Pipeline.Generate(Plain with { Prompts = [fits + " bear"] });
        using var whole = model.Pipeline.Generate(Plain with { Prompts = [fits] });

        Assert.All(result.Warnings, warning => Assert.Equal(GenerationWarningCode.PromptTruncated, warning.Code));
        Assert.Contains("text_encoder reads; it did not see: \"bear\"", result.Warnings[0].Message, StringComparison.Ordinal);
        Assert.Empty(whole.Warnings);
    }

    [Fact]
    public void Patterns_that_match_no_layer_are_told_of()
    {
        var layer = model.Pipeline.AttentionProcessors.Layers.First(l => l.Kind == AttentionKind.Self).Path;
        var techniques = new StoryAttentionOptions { Sharing = new() { Layers = $"{layer}, up_block.*, !nowhere.*" } };
        using var story = model.Pipeline.GenerateStory(Bear, Quick with { Techniques = techniques });

        Assert.Equal(
            [(GenerationWarningCode.LayerPatternWithoutMatch, true), (GenerationWarningCode.LayerPatternWithoutMatch, true)],
            story.Warnings.Where(w => w.Code != GenerationWarningCode.SubjectNotFound)
                .Select(w => (w.Code, w.Message.Contains("\"up_block.*\"", StringComparison.Ordinal)
                    || w.Message.Contains("\"!nowhere.*\"", StringComparison.Ordinal))));
    }

    [Fact]
    public void Moving_keys_is_told_of_where_keys_have_no_positions()
    {
        using var story =
            model.Pipeline.GenerateStory(Bear, Quick with { Techniques = new() { Sharing = new() { MatchPositions = true } } });

        Assert.Contains(story.Warnings, w => w.Message.Contains("MatchPositions has no effect", StringComparison.Ordinal));
    }

    public static TheoryData<string, StoryOptions> StoryOptionsWithoutEffect() => new()
    {
        { "Candidates has no effect", Quick with { Candidates = 2 } },
        { "BatchSize has no effect", Quick with { BatchSize = 2 } },
        { "Scorer has no effect", Quick with { Scorer = _ => 1 } },
        { "Techniques.Placement has no effect", Quick with { Techniques = new() { Placement = new() { Until = 0.25 } } } },
        { "Techniques.Location has no effect", Quick with { Techniques = new() { Location = new() { Strength = 2 } } } },
        { "Techniques.NegativeHalf has no effect",
            Quick.With(r => r with { GuidanceScale = 1 }) with { Techniques = new() { NegativeHalf = false } } },
        { "Techniques.Sharing has no effect: none of the 1 steps is in its Steps, 0.5 to 0.5",
            Quick with { Techniques = new() { Sharing = new() { Steps = new(0.5, 0.5) } } } },
        { "Techniques.Harmonization has no effect: none of the 2 steps is in its Steps, 0.6 to 0.6",
            Quick.With(r => r with { Steps = 2 }) with { Techniques = new() { Harmonization = new() { Steps = new(0.6, 0.6) } } } },
    };

    [Theory]
    [MemberData(nameof(StoryOptionsWithoutEffect), DisableDiscoveryEnumeration = true)]
    public void An_option_of_a_story_without_effect_is_told_of(string text, StoryOptions options)
    {
        using var story = model.Pipeline.GenerateStory(Bear, options);

        var warning = Assert.Single(story.Warnings, warning => warning.Code != GenerationWarningCode.SubjectNotFound);
        Assert.Equal(GenerationWarningCode.OptionWithoutEffect, warning.Code);
        Assert.StartsWith(text, warning.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_models_own_techniques_and_none_are_nothing_to_tell_of()
    {
        foreach (var techniques in (StoryAttentionOptions[])[model.Pipeline.DefaultTechniques, StoryAttentionOptions.Disabled])
        {
            using var story = model.Pipeline.GenerateStory(Bear, Quick with { Techniques = techniques });
            Assert.DoesNotContain(story.Warnings, warning => warning.Code == GenerationWarningCode.OptionWithoutEffect);
        }
    }

    [Fact]
    public void A_preview_that_is_never_due_is_told_of()
    {
        using var result = model.Pipeline.Generate(Plain with { PreviewInterval = 2 }, new Progress<GenerationProgress>());
        Assert.Contains("it is 2, and there are 1 steps", Assert.Single(result.Warnings).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_variant_that_the_model_does_not_have_is_told_of()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu", Variant = "bf16" });
        var warning = Assert.Single(pipeline.Warnings);
        Assert.StartsWith(
            "PipelineOptions.Variant has no effect on text_encoder, text_encoder_2, unet, vae: ",
            warning.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_replacement_of_a_part_that_the_model_does_not_have_is_told()
    {
        var other = ReferenceData.PathOf("models/tiny-sdxl");
        using var pipeline = DiffusionPipeline.Load(
            ReferenceData.PathOf("models/tiny-kandinsky3"),
            new PipelineOptions { Device = "cpu", Vae = Path.Combine(other, "vae"), TextEncoder2 = Path.Combine(other, "text_encoder_2") });
        Assert.Equal(
            [
                "PipelineOptions.Vae has no effect: the model has no vae; its parts are text_encoder, unet, movq.",
                "PipelineOptions.TextEncoder2 has no effect: the model has no text_encoder_2; its parts are text_encoder, unet, movq.",
            ],
            pipeline.Warnings.Select(warning => warning.Message));
    }

    [Fact]
    public void Loading_options_without_effect_are_told_of_by_pipeline_result_and_logger()
    {
        var logger = new Logger();
        using var pipeline = StableDiffusionXLPipeline.Load("storybook",
            new PipelineOptions { Device = "cpu", StreamBlocks = true, Offload = true, Logger = logger });
        using var result = pipeline.Generate(Plain with { Strength = 0.5 });

        Assert.Equal(["StreamBlocks", "Offload"], pipeline.Warnings.Select(w => w.Message.Split('.', ' ')[1]));
        Assert.Equal([.. pipeline.Warnings.Select(w => w.Message), result.Warnings[^1].Message], result.Warnings.Select(w => w.Message));
        Assert.Equal(result.Warnings.Select(w => $"{w.Code}: {w.Message}"), logger.Entries);
    }

    [Fact]
    public void A_request_for_another_model_is_refused()
    {
        var error =
            Assert.Throws<ArgumentException>(() => model.Pipeline.Generate(new FluxRequest { Prompts = ["a cat"], TrueCfgScale = 4 }));

        Assert.Contains("FluxRequest", error.Message, StringComparison.Ordinal);
        Assert.Contains("StableDiffusionXLRequest", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_story_attends_by_the_processors_that_are_set_on_the_model_and_by_the_requests()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        var (set, given) = (new Counter(), new Counter());
        using var before = pipeline.GenerateStory(Bear, Quick);
        pipeline.AttentionProcessors.SetAll(set);
        using var onModel = pipeline.GenerateStory(Bear, Quick);
        var calls = set.Calls;
        using var onRequest = pipeline.GenerateStory(Bear, Quick.With(r => r with { AttentionProcessor = given }));

        Assert.True(calls > 0);
        Assert.Equal(calls, given.Calls);
        Assert.Equal(calls, set.Calls);
        Assert.True(before.Latents.equal(onModel.Latents).all().item<bool>());
    }

    private sealed class Counter : IAttentionProcessor
    {
        public int Calls { get; private set; }

        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            Calls++;
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }

    private sealed class Logger : ILogger
    {
        public List<string> Entries { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?,
            string> formatter) =>
            Entries.Add(formatter(state, exception));
    }
}
