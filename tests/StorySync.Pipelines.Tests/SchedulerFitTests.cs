using System.Text.Json;
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
