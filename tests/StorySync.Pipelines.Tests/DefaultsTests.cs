using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>What a request leaves open: as the model's folder says, or else as diffusers' pipelines have it (their call's
/// signature).</summary>
public class DefaultsTests(StorybookModel storybook, FluxModel flux) : IClassFixture<StorybookModel>, IClassFixture<FluxModel>
{
    private static readonly RgbImage Image = new(128, 128, new byte[128 * 128 * 3]);
    private static readonly GenerationRequest Text = new() { Prompts = ["a cat"] };
    private static readonly GenerationRequest FromImage = Text with { Images = [Image] };
    private static readonly GenerationRequest Inpainting = FromImage with { Mask = Image };

    [Theory]
    [InlineData("storybook", 20, 4, 1)]
    [InlineData("storybook-flux", 16, 3.5, 2.5)]
    [InlineData("storybook-kandinsky3", 25, 3, 1)]
    public void A_small_model_says_its_own_steps_guidance_and_size(string model, int steps, double guidance, double trueCfg)
    {
        using var pipeline = DiffusionPipeline.Load(model, new PipelineOptions { Device = "cpu" });

        Assert.Equal((steps, guidance), (pipeline.DefaultSteps, pipeline.DefaultGuidanceScale));
        Assert.Equal(new ImageSize(128, 128), pipeline.DefaultSize);
        Assert.Equal(trueCfg, (pipeline as FluxPipeline)?.DefaultTrueCfgScale ?? 1);
        Assert.Equal(pipeline is FluxPipeline ? "single_transformer_blocks.5.attn" : "*", pipeline.DefaultTechniques.Masks!.Layers);
    }

    [Fact]
    public void The_embedded_models_steps_are_made_where_a_request_names_none()
    {
        var progress = new List<int>();
        using var result = storybook.Pipeline.Generate(
            Text with { Height = 32, Width = 32, OnStep = step => progress.Add(step.Count), LatentsOnly = true });
        Assert.Equal(Enumerable.Repeat(20, 20), progress);
    }

    [Fact]
    public void A_model_without_settings_has_those_of_diffusers_for_each_task()
    {
        using var sdxl = StableDiffusionXLPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });

        Assert.Equal(50, sdxl.DefaultSteps);
        Assert.Equal((5, 5, 7.5),
            (sdxl.GuidanceScaleOrDefault(Text), sdxl.GuidanceScaleOrDefault(FromImage), sdxl.GuidanceScaleOrDefault(Inpainting)));
        Assert.Equal((0.3, 0.9999), (sdxl.StrengthOf(FromImage), sdxl.StrengthOf(Inpainting)));
        Assert.Equal((3.5, 7), (flux.Dev.GuidanceScaleOrDefault(Text), flux.Dev.GuidanceScaleOrDefault(FromImage)));
        Assert.Equal(0.6, flux.Dev.StrengthOf(FromImage));
    }

    [Theory]
    [InlineData("""{ "steps": 0 }""", "'steps' is 0")]
    [InlineData("""{ "true_cfg_scale": 1001 }""", "'true_cfg_scale' is 1001")]
    [InlineData("""{ "height": 0 }""", "'height' is 0")]
    [InlineData("""{ "width": 100 }""", "'width' is 100", "a multiple of 8")]
    [InlineData("""{ "mask_layers": "!" }""", "'mask_layers' is '!'")]
    [InlineData("""{ "latent_rgb_factors": [[0.1, 0.2, 0.3]] }""", "'latent_rgb_factors' must", "4 channels")]
    [InlineData("""{ "latent_rgb_factors": [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2]] }""", "'latent_rgb_factors' must", "three numbers")]
    [InlineData(
        """{ "latent_rgb_factors": [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]], "latent_rgb_factors_bias": [0] }""",
        "'latent_rgb_factors_bias' three numbers")]
    [InlineData("""{ "latent_rgb_factors": [[1e999, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]] }""", "'latent_rgb_factors")]
    [InlineData("""{ "latent_rgb_factors_bias": [0, 0, 0] }""", "'latent_rgb_factors' must")]
    public void Settings_out_of_their_range_are_refused_by_name(string settings, params string[] words)
    {
        var folder = Directory.CreateTempSubdirectory("storysync-test-");
        try
        {
            foreach (var entry in Directory.EnumerateFileSystemEntries(ModelFolder.Open("storybook").Path).Where(e =>
                Path.GetFileName(e) != "storysync.json"))
            {
                File.CreateSymbolicLink(Path.Combine(folder.FullName, Path.GetFileName(entry)), entry);
            }

            File.WriteAllText(Path.Combine(folder.FullName, "storysync.json"), settings);
            var error =
                Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(folder.FullName, new PipelineOptions { Device = "cpu" }));
            Assert.Contains("storysync.json", error.Message, StringComparison.Ordinal);
            Assert.All(words, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Without_a_seed_it_is_random_and_the_result_names_it()
    {
        var request = Text with { Steps = 1, LatentsOnly = true, ImagesPerPrompt = 2 };
        using var first = storybook.Pipeline.Generate(request);
        using var second = storybook.Pipeline.Generate(request);
        using var again = storybook.Pipeline.Generate(request with { Seed = first.Seeds[0] });

        Assert.NotEqual(first.Seeds, second.Seeds);
        Assert.Equal(first.Seeds[0] + 1, first.Seeds[1]);
        Assert.True(first.Latents.equal(again.Latents).all().item<bool>());
    }

    [Fact]
    public void A_scheduler_is_chosen_by_name_or_object_for_a_request_and_at_loading()
    {
        var request = Text with { Steps = 3, Seed = 1, LatentsOnly = true };
        var own = storybook.Pipeline.Scheduler;
        var other = Scheduler.From<DPMSolverMultistepScheduler>(own);
        using var named = storybook.Pipeline.Generate(request with { Scheduler = "DPMSolverMultistepScheduler" });
        using var given = storybook.Pipeline.Generate(request with { Scheduler = other });
        using var plain = storybook.Pipeline.Generate(request);
        using var pipeline =
            DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu", Scheduler = "DPMSolverMultistepScheduler" });
        using var loaded = pipeline.Generate(request);

        Assert.Same(own, storybook.Pipeline.Scheduler);
        Assert.IsType<DPMSolverMultistepScheduler>(pipeline.Scheduler);
        Assert.True(named.Latents.equal(given.Latents).all().item<bool>());
        Assert.True(named.Latents.equal(loaded.Latents).all().item<bool>());
        Assert.False(named.Latents.equal(plain.Latents).all().item<bool>());
    }

    [Fact]
    public void A_scheduler_made_from_another_keeps_what_is_the_models()
    {
        var own = new EulerDiscreteScheduler(new EulerDiscreteSchedulerConfig
        {
            BetaStart = 0.00085, BetaEnd = 0.012, BetaSchedule = "scaled_linear", PredictionType = "v_prediction", NumTrainTimesteps = 900,
        });

        var config = Assert.IsType<DPMSolverMultistepSchedulerConfig>(Scheduler.From<DPMSolverMultistepScheduler>(own).Config);
        Assert.Equal(
            (0.00085, 0.012, "scaled_linear", "v_prediction", 900),
            (config.BetaStart, config.BetaEnd, config.BetaSchedule, config.PredictionType, config.NumTrainTimesteps));
        Assert.Equal(new DPMSolverMultistepSchedulerConfig().TimestepSpacing, config.TimestepSpacing);
    }

    [Fact]
    public void An_unknown_scheduler_and_none_are_refused()
    {
        Assert.Contains("must be one of DDIMScheduler", Assert.Throws<ArgumentException>(() => new SchedulerChoice("Euler")).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => storybook.Pipeline.Scheduler = null!);
    }
}
