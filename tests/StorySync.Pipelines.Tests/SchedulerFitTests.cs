using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Which scheduler a pipeline takes, and what it gives it.</summary>
public sealed class SchedulerFitTests : IDisposable
{
    private readonly FluxModel flux = new();

    public static MatrixTheoryData<string, string> Runs() => new(["euler", "unipc", "dpm", "unipc-other-shift"], ["64x96", "128x96"]);

    [Theory]
    [MemberData(nameof(Runs))]
    public void FLUX_shifts_by_the_size_of_the_image_with_every_scheduler_of_flow_matching(string scheduler, string size)
    {
        using var golden = new Golden("flux-schedulers.safetensors");
        CheckFox(scheduler, golden[$"{scheduler}.{size}"], new FluxRequest
        {
            Height = int.Parse(size.Split('x')[0], System.Globalization.CultureInfo.InvariantCulture),
            Width = 96,
        });
    }

    [Theory]
    [InlineData("euler")]
    [InlineData("unipc")]
    [InlineData("dpm")]
    public void FLUX_gives_them_the_steps_of_image_to_image(string scheduler)
    {
        using var golden = new Golden("flux-schedulers.safetensors");
        var image = golden["image"];
        CheckFox(scheduler, golden[$"{scheduler}.from-image"], new FluxRequest
        {
            Images = [new RgbImage((int)image.shape[1], (int)image.shape[0], image.data<byte>().ToArray())],
            Strength = 0.7,
        });
    }

    [Theory]
    [InlineData("EulerDiscreteScheduler", "{}")]
    [InlineData("DPMSolverMultistepScheduler", "{}")]
    [InlineData("UniPCMultistepScheduler", """{"use_flow_sigmas": true}""")]
    [InlineData("UniPCMultistepScheduler", """{"prediction_type": "flow_prediction"}""")]
    public void A_scheduler_that_is_not_of_flow_matching_is_refused_by_FLUX(string name, string config)
    {
        flux.Schnell.Scheduler = Scheduler.FromConfig(JsonDocument.Parse(config).RootElement, name);
        var error = Assert.Throws<ArgumentException>(() =>
            flux.Schnell.Generate(new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 1 }));
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.Contains("expected FlowMatchEulerDiscreteScheduler", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tiny-sdxl", "FlowMatchEulerDiscreteScheduler", "{}")]
    [InlineData("tiny-sdxl", "UniPCMultistepScheduler", """{"use_flow_sigmas": true, "prediction_type": "flow_prediction"}""")]
    [InlineData("tiny-sdxl", "DPMSolverMultistepScheduler", """{"prediction_type": "flow_prediction"}""")]
    [InlineData("tiny-kandinsky3", "FlowMatchEulerDiscreteScheduler", "{}")]
    public void A_scheduler_of_flow_matching_is_refused_by_other_models(string model, string name, string config)
    {
        using var pipeline = DiffusionPipeline.Load(ReferenceData.PathOf($"models/{model}"), new PipelineOptions { Device = "cpu" });
        pipeline.Scheduler = Scheduler.FromConfig(JsonDocument.Parse(config).RootElement, name);
        var error = Assert.Throws<ArgumentException>(() =>
            pipeline.Generate(new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 1 }));
        Assert.Contains("was not trained by flow matching", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("epsilon", "v_prediction")]
    [InlineData("epsilon", "sample")]
    [InlineData("v_prediction", "epsilon")]
    [InlineData("v_prediction", "sample")]
    [InlineData("sample", "epsilon")]
    [InlineData(null, "v_prediction")]
    public void A_scheduler_for_another_prediction_is_refused(string? trained, string given)
    {
        using var copy = new ModelCopy("tiny-sdxl");
        _ = trained is null
            ? copy.Remove("scheduler/scheduler_config.json", "prediction_type")
            : copy.Set("scheduler/scheduler_config.json", "prediction_type", trained);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var own = pipeline.Scheduler;
        var other = Scheduler.FromConfig(
            JsonDocument.Parse($$"""{"prediction_type": "{{given}}"}""").RootElement, nameof(DPMSolverMultistepScheduler));
        var request = new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 1, LatentsOnly = true };

        Refused(() => pipeline.Generate(request with { Scheduler = other }));
        Refused(() => pipeline.PlanMemory(request with { Scheduler = other }));
        Refused(() => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu", Scheduler = other }).Dispose());
        pipeline.Scheduler = other;
        Refused(() => pipeline.Generate(request));
        Refused(() => pipeline.GenerateStory(new Story { Subjects = ["a fox"], Scenes = [new("a fox")] }));

        pipeline.Scheduler = Scheduler.From<DPMSolverMultistepScheduler>(own);
        pipeline.Generate(request).Dispose();
        pipeline.Generate(request with { Scheduler = nameof(DDIMScheduler) }).Dispose();
        using var named = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu", Scheduler = nameof(LCMScheduler) });
        named.Generate(request).Dispose();

        void Refused(Action action)
        {
            var error = Assert.Throws<ArgumentException>(action);
            Assert.Contains($"DPMSolverMultistepScheduler has the prediction type {given}", error.Message, StringComparison.Ordinal);
            Assert.Contains($"was trained for {trained ?? "epsilon"}", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("EulerDiscreteScheduler", "{}", "its 'beta_start' is 0.0001, the model's 0.00085")]
    [InlineData("DDIMScheduler", """{"beta_start": 0.00085, "beta_end": 0.012}""", "its 'beta_schedule' is linear, the model's scaled_linear")]
    [InlineData("DPMSolverMultistepScheduler",
        """{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 500}""",
        "its 'num_train_timesteps' is 500, the model's 1000")]
    [InlineData("UniPCMultistepScheduler", """{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}""", null)]
    public void A_scheduler_with_other_noise_levels_than_the_models_is_told_of(string name, string config, string? difference)
    {
        using var copy = new ModelCopy("tiny-sdxl");
        copy.Set("scheduler/scheduler_config.json", "beta_start", 0.00085).Set("scheduler/scheduler_config.json", "beta_end", 0.012)
            .Set("scheduler/scheduler_config.json", "beta_schedule", "scaled_linear")
            .Set("scheduler/scheduler_config.json", "num_train_timesteps", 1000)
            .Set("scheduler/scheduler_config.json", "prediction_type", "epsilon");
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var request = new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 1, LatentsOnly = true };
        using var given = pipeline.Generate(
            request with { Scheduler = Scheduler.FromConfig(JsonDocument.Parse(config).RootElement, name) });
        using var named = pipeline.Generate(request with { Scheduler = name });

        Assert.Empty(named.Warnings);
        if (difference is null)
        {
            Assert.Empty(given.Warnings);
        }
        else
        {
            var warning = Assert.Single(given.Warnings);
            Assert.Equal(GenerationWarningCode.SchedulerMismatch, warning.Code);
            Assert.Contains(difference, warning.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_model_of_EDM_is_told_from_others()
    {
        using var copy = new ModelCopy("tiny-sdxl");
        copy.Set("scheduler/scheduler_config.json", "sigma_data", 0.5)
            .Set("model_index.json", "scheduler", new JsonArray("diffusers", "EDMDPMSolverMultistepScheduler"));
        using var edm = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        using var betas = DiffusionPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });
        var request = new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 2, LatentsOnly = true };

        Assert.IsType<EDMDPMSolverMultistepScheduler>(edm.Scheduler);
        using var own = edm.Generate(request);
        using var named = edm.Generate(request with { Scheduler = "EDMEulerScheduler" });
        using var wrong = edm.Generate(request with { Scheduler = "EulerDiscreteScheduler" });
        using var other = edm.Generate(request with { Scheduler = new EDMEulerScheduler(new() { SigmaData = 1 }) });
        using var foreign = betas.Generate(request with { Scheduler = "EDMEulerScheduler" });

        Assert.Empty(own.Warnings);
        Assert.Empty(named.Warnings);
        Assert.Contains("trained as EDM's", Assert.Single(wrong.Warnings).Message, StringComparison.Ordinal);
        Assert.Contains("'sigma_data' is 1, the model's 0.5", Assert.Single(other.Warnings).Message, StringComparison.Ordinal);
        Assert.Contains("they are EDM's", Assert.Single(foreign.Warnings).Message, StringComparison.Ordinal);
        Assert.True(own.Latents.isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData("DDIMScheduler")]
    [InlineData("DDPMScheduler")]
    [InlineData("LCMScheduler")]
    public void Noise_that_leaves_nothing_to_a_prediction_of_noise_is_refused(string name)
    {
        Scheduler Of(string more) => Scheduler.FromConfig(
            JsonDocument.Parse($$"""{"rescale_betas_zero_snr": true, {{more}}}""").RootElement, name);
        const string trailing = "\"timestep_spacing\": \"trailing\"";

        Assert.Contains(
            "'rescale_betas_zero_snr'",
            Assert.Throws<ArgumentException>(() => Of($"{trailing}, \"clip_sample\": false").CreatePlan(4)).Message,
            StringComparison.Ordinal);
        Assert.Equal(4, Of($"{trailing}, \"clip_sample\": true").CreatePlan(4).Steps);
        Assert.Equal(4, Of($"{trailing}, \"clip_sample\": false, \"prediction_type\": \"v_prediction\"").CreatePlan(4).Steps);
    }

    [Theory]
    [InlineData("EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler")]
    [InlineData("DPMSolverMultistepScheduler", "EulerDiscreteScheduler")]
    [InlineData("DPMSolverMultistepScheduler", null)]
    [InlineData("DDIMScheduler", "NoSuchScheduler")]
    public void The_index_decides_the_class_of_the_scheduler(string inIndex, string? inConfig)
    {
        using var copy = new ModelCopy("tiny-sdxl");
        copy.Set("model_index.json", "scheduler", new System.Text.Json.Nodes.JsonArray("diffusers", inIndex));
        _ = inConfig is null
            ? copy.Remove("scheduler/scheduler_config.json", "_class_name")
            : copy.Set("scheduler/scheduler_config.json", "_class_name", inConfig);

        Assert.Equal(inIndex, Scheduler.Load(ModelFolder.Open(copy.Path)).GetType().Name);
    }

    [Fact]
    public void Without_an_index_the_config_names_the_class()
    {
        using var copy = new ModelCopy("tiny-sdxl").Remove("model_index.json", "scheduler");
        Assert.IsType<EulerDiscreteScheduler>(Scheduler.Load(ModelFolder.Open(copy.Path)));
        copy.Remove("scheduler/scheduler_config.json", "_class_name");
        Assert.Contains("'_class_name' is missing",
            Assert.Throws<ModelFileException>(() => Scheduler.Load(ModelFolder.Open(copy.Path))).Message, StringComparison.Ordinal);
    }

    public void Dispose() => flux.Dispose();

    private void CheckFox(string scheduler, Tensor expected, FluxRequest request)
    {
        ReferenceData.RequireFile(
            "models/tiny-flux-dev/transformer/diffusion_pytorch_model.safetensors",
            "039c05167ef7d351996392970653d811e20159f1fcb774df0d0819e7ab1726f1");
        using var result = flux.Dev.Generate(request with
        {
            Prompts = ["A red fox walks through the snowy forest at dawn"],
            Steps = 6,
            GuidanceScale = 3.5,
            MaxSequenceLength = 64,
            Seed = 5,
            LatentsOnly = true,
            Scheduler = scheduler switch
            {
                "euler" => flux.Dev.Scheduler,
                "unipc" => FlowScheduler("UniPCMultistepScheduler"),
                "dpm" => FlowScheduler("DPMSolverMultistepScheduler"),
                _ => FlowScheduler("UniPCMultistepScheduler", """, "base_shift": 0.3, "max_shift": 2.0, "base_image_seq_len": 16, "max_image_seq_len": 64"""),
            },
        });
        using var difference = (expected - result.Latents).abs().max();

        Assert.InRange(difference.item<float>(), 0, 2e-4f);
    }

    /// <summary>The config of FLUX.1 dev's scheduler with another class, as <c>from_config</c> makes it.</summary>
    private static Scheduler FlowScheduler(string name, string more = "")
    {
        var config = File.ReadAllText(ReferenceData.PathOf("models/tiny-flux-dev/scheduler/scheduler_config.json")).TrimEnd()[..^1];
        foreach (var key in (string[])["base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len"])
        {
            config = more.Contains(key, StringComparison.Ordinal)
                ? System.Text.RegularExpressions.Regex.Replace(config, $"\"{key}\": [0-9.]+,", "") : config;
        }

        return Scheduler.FromConfig(
            JsonDocument.Parse(config + more + ""","use_flow_sigmas": true, "prediction_type": "flow_prediction" }""").RootElement, name);
    }
}
