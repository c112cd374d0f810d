using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class SamplingPresetTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly GenerationRequest Cat = new() { Prompts = ["a cat"], Height = 64, Width = 64, Seed = 3, LatentsOnly = true };

    public static TheoryData<string> Names() => [.. SamplingPreset.All.Select(preset => preset.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_preset_stands_for_settings_that_can_be_spelled_out(string name)
    {
        var preset = SamplingPreset.Parse(name.ToUpperInvariant());
        var entries = JsonObject.Create(model.Pipeline.Scheduler.ToConfig())!;
        if (preset.TimestepSpacing is { } spacing)
        {
            entries["timestep_spacing"] = spacing;
        }

        using var expected = model.Pipeline.Generate(Cat with
        {
            Scheduler = Scheduler.FromConfig(JsonSerializer.SerializeToElement(entries), preset.Scheduler),
            Steps = preset.Steps,
            GuidanceScale = preset.GuidanceScale,
            Eta = preset.Eta,
        });
        using var actual = model.Pipeline.Generate(Cat with { Preset = preset });
        TensorAssert.SameBits(expected.Latents, actual.Latents);
        Assert.Empty(actual.Warnings);
    }

    [Fact]
    public void What_a_request_says_comes_first()
    {
        var own = Cat with { Steps = 3, GuidanceScale = 2, Scheduler = "DDIMScheduler" };
        using var expected = model.Pipeline.Generate(own);
        using var actual = model.Pipeline.Generate(own with { Preset = SamplingPreset.Tcd });
        TensorAssert.SameBits(expected.Latents, actual.Latents);
    }

    [Fact]
    public void A_pipeline_takes_a_preset_for_all_its_generations_and_stories()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        using var expected = pipeline.Generate(Cat with { Preset = SamplingPreset.Lightning });
        var story = new Story { Subjects = ["a bear"], Scenes = [new("a bear in the snow"), new("a bear at the beach")] };
        var options = new StoryOptions { Request = new() { Height = 64, Width = 64, Seed = 3 } };
        using var told = pipeline.GenerateStory(
            story, options with { Request = options.Request! with { Preset = SamplingPreset.Lightning } });
        pipeline.Preset = SamplingPreset.Lightning;
        Assert.Equal((4, 0), (pipeline.DefaultSteps, pipeline.DefaultGuidanceScale));
        using var actual = pipeline.Generate(Cat);
        using var also = pipeline.GenerateStory(story, options);

        TensorAssert.SameBits(expected.Latents, actual.Latents);
        TensorAssert.SameBits(told.Latents, also.Latents);
    }

    [Fact]
    public void Scenes_of_a_bank_keep_the_preset_of_its_anchors()
    {
        var options = new StoryOptions { Request = new() { Height = 64, Width = 64, Seed = 3, Preset = SamplingPreset.Lcm } };
        var forest = new Scene("a bear in the forest");
        using var bank = model.Pipeline.CreateBank(new Story { Subjects = ["a bear"], Scenes = [forest] }, options);
        using var told = model.Pipeline.GenerateScenes(bank, [new("a bear at the beach")], options);
        using var untold = model.Pipeline.GenerateScenes(bank, [new("a bear at the beach")]);
        TensorAssert.SameBits(told.Latents, untold.Latents);
        Assert.Contains("Steps", Assert.Throws<ArgumentException>(() => model.Pipeline.GenerateScenes(
            bank, [forest], options with { Request = options.Request with { Preset = SamplingPreset.Hyper } })).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("LCMScheduler", "lcm")]
    [InlineData("TCDScheduler", "tcd")]
    public void A_folder_s_scheduler_tells_the_preset_and_the_choice_is_told(string scheduler, string preset)
    {
        using var copy = new ModelCopy("tiny-sdxl");
        copy.Set("model_index.json", "scheduler", new JsonArray("diffusers", scheduler));
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        Assert.Equal(preset, pipeline.Preset!.Name);
        using var result = pipeline.Generate(Cat with { Steps = null });
        var warning = Assert.Single(result.Warnings);
        Assert.Equal(GenerationWarningCode.PresetChosen, warning.Code);
        Assert.Contains(scheduler, warning.Message, StringComparison.Ordinal);

        using var chosen = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu", Scheduler = "EulerDiscreteScheduler" });
        Assert.Null(chosen.Preset);
    }

    [Fact]
    public void A_folder_names_its_preset_itself_and_may_have_other_steps()
    {
        using var copy = new ModelCopy("tiny-sdxl");
        copy.Write("storysync.json", """{"preset": "lightning", "steps": 2}""");
        using (var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }))
        {
            Assert.Equal(SamplingPreset.Lightning with { Steps = 2 }, pipeline.Preset);
        }

        copy.Write("storysync.json", """{"preset": "fast"}""");
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }));
        Assert.Contains("'preset' is fast; it must be one of turbo, lightning", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 1, 0, "trailing", "Steps is 0")]
    [InlineData(1, double.NaN, 0, "trailing", "GuidanceScale is NaN")]
    [InlineData(1, 1, 2, "trailing", "Eta is 2")]
    [InlineData(1, 1, 0, "backwards", "TimestepSpacing is 'backwards'")]
    public void A_mistake_is_one_clear_error(int steps, double guidance, double eta, string spacing, string message)
    {
        var preset = SamplingPreset.Turbo with { Steps = steps, GuidanceScale = guidance, Eta = eta, TimestepSpacing = spacing };
        Assert.Contains($"Preset.{message}", Assert.Throws<ArgumentException>(() => model.Pipeline.Generate(Cat with { Preset = preset }))
            .Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => model.Pipeline.Preset = preset);
        Assert.Contains("must be one of turbo", Assert.Throws<ArgumentException>(() => SamplingPreset.Parse("fast")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Flow_matching_has_none_of_them()
    {
        using var flux = DiffusionPipeline.Load(ReferenceData.PathOf("models/tiny-flux"), new PipelineOptions { Device = "cpu" });
        Assert.Contains(
            "flow matching", Assert.Throws<ArgumentException>(() => flux.Generate(Cat with { Preset = SamplingPreset.Lcm })).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => flux.Preset = SamplingPreset.Lcm);
    }
}
