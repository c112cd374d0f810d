using System.CommandLine;
using System.Text.Json.Nodes;
using StorySync.Attention;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>Parts of SDXL by themselves, and a pipeline as a whole: from a model folder, or at full size with random weights.</summary>
internal static class ModelRuns
{
    internal static readonly UNet2DConditionConfig FullUNet = new()
    {
        SampleSize = 128,
        DownBlockTypes = ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        UpBlockTypes = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        BlockOutChannels = [320, 640, 1280],
        TransformerLayersPerBlock = new OneOrMany<int>[] { 1, 2, 10 },
        AttentionHeadDim = new[] { 5, 10, 20 },
        CrossAttentionDim = 2048,
        UseLinearProjection = true,
        AdditionEmbedType = "text_time",
        AdditionTimeEmbedDim = 256,
        ProjectionClassEmbeddingsInputDim = 2816,
    };

    internal static readonly AutoencoderKLConfig FullVae = new()
    {
        DownBlockTypes = [.. Enumerable.Repeat("DownEncoderBlock2D", 4)],
        UpBlockTypes = [.. Enumerable.Repeat("UpDecoderBlock2D", 4)],
        BlockOutChannels = [128, 256, 512, 512],
        LayersPerBlock = 2,
    };

    internal static readonly UNet2DConditionConfig SmallUNet = FullUNet with
    {
        BlockOutChannels = [32, 64, 64],
        TransformerLayersPerBlock = new OneOrMany<int>[] { 1, 1, 1 },
        AttentionHeadDim = new[] { 2, 4, 4 },
        CrossAttentionDim = 64,
    };

    internal static readonly AutoencoderKLConfig SmallVae = FullVae with { BlockOutChannels = [32, 32, 64, 64] };

    private static readonly Option<string?> Folder =
        new("--folder") { Description = "A model folder, or storybook; by default SDXL at full size with random weights." };
    private static readonly Option<int> Height = PositiveOption.Create("--height", 512, "Pixels.");
    private static readonly Option<int> Width = PositiveOption.Create("--width", 512, "Pixels.");
    private static readonly Option<int> Batch = PositiveOption.Create("--batch", 1, "Rows.");
    private static readonly Option<int> Tokens = PositiveOption.Create("--tokens", 77, "Text tokens.");
    private static readonly Option<int> Steps = PositiveOption.Create("--steps", 20, "Denoising steps.");
    private static readonly string[] Settings = ["in the forest", "at the beach", "in the snow", "in the city"];
    private static readonly Option<bool> Plain = new("--plain") { Description = "Without the techniques." };
    private static readonly Option<ScalarType> Dtype = new("--dtype")
    {
        DefaultValueFactory = _ => ScalarType.Float32, Description = "The type to compute in.",
    };
    private static readonly Option<string> Prompt = new("--prompt") { DefaultValueFactory = _ => "a cat standing in the forest" };

    public static Command UNet() =>
        Command("unet", "A forward pass of a UNet.", [Folder, Height, Width, Batch, Tokens, Dtype], (parsed, timing) =>
    {
        var type = parsed.GetValue(Dtype);
        using var model = parsed.GetValue(Folder) is { } folder ? UNet2DConditionModel.Load(ModelFolder.Open(folder), dtype: type)
            : RandomWeights.Bind(new UNet2DConditionModel(FullUNet), type);
        using var scope = NewDisposeScope();
        var (config, batch) = (model.Config, parsed.GetValue(Batch));
        var inputs = new UNetInputs(
            randn(batch, config.InChannels, parsed.GetValue(Height) / 8, parsed.GetValue(Width) / 8).to(type), tensor(500f),
                randn(batch, parsed.GetValue(Tokens), config.CrossAttentionDim[0]).to(type))
        {
            TextEmbeds = config.AdditionEmbedType is null ? null
                : randn(batch, config.ProjectionClassEmbeddingsInputDim!.Value - (6 * config.AdditionTimeEmbedDim!.Value)).to(type),
            TimeIds = randn(batch, 6).to(type),
        };
        return timing.Run(parsed, () => model.call(inputs, new DenoisingContext()).Dispose());
    });

    public static Command VaeDecode() =>
        Command("vae-decode", "Decoding by an autoencoder.", [Folder, Height, Width, Batch], (parsed, timing) =>
    {
        using var model = parsed.GetValue(Folder) is { } folder ? AutoencoderKL.Load(ModelFolder.Open(folder))
            : RandomWeights.Bind(new AutoencoderKL(FullVae));
        using var scope = NewDisposeScope();
        var latents = randn(parsed.GetValue(Batch), model.Config.LatentChannels, parsed.GetValue(Height) / 8, parsed.GetValue(Width) / 8);
        return timing.Run(parsed, () => model.Decode(latents).Dispose());
    });

    public static Command Pipeline() =>
        Command("pipeline", "A pipeline, from prompts to images.", [Folder, Height, Width, Batch, Steps, Prompt], (parsed, timing) =>
    {
        using var pipeline = DiffusionPipeline.Load(parsed.GetValue(Folder) ?? "storybook", new PipelineOptions { Device = "cpu" });
        var request = new GenerationRequest
        {
            Prompts = [.. Enumerable.Repeat(parsed.GetValue(Prompt)!, parsed.GetValue(Batch))],
            Seed = 0,
            Steps = parsed.GetValue(Steps),
            Height = parsed.GetValue(Height),
            Width = parsed.GetValue(Width),
        };
        return timing.Run(parsed, () => pipeline.Generate(request).Dispose());
    });

    public static Command Kandinsky3() =>
        Command("kandinsky3", "A forward pass of Kandinsky 3's UNet.", [Folder, Height, Width, Batch, Tokens], (parsed, timing) =>
    {
        using var model = parsed.GetValue(Folder) is { } folder ? Kandinsky3UNet.Load(ModelFolder.Open(folder))
            : RandomWeights.Bind(new Kandinsky3UNet(new Kandinsky3UNetConfig()));
        using var scope = NewDisposeScope();
        var batch = parsed.GetValue(Batch);
        var inputs = new Kandinsky3Inputs(
            randn(batch, model.Config.InChannels, parsed.GetValue(Height) / 8, parsed.GetValue(Width) / 8), tensor(500f),
                randn(batch, parsed.GetValue(Tokens), model.Config.EncoderHidDim))
        {
            EncoderAttentionMask = ones(batch, parsed.GetValue(Tokens)),
        };
        return timing.Run(parsed, () => model.call(inputs, new DenoisingContext()).Dispose());
    });

    public static Command Story() => Command("story", "A story's images, with the techniques or without.",
        [Folder, Height, Width, Batch, Steps, Plain], (parsed, timing) =>
    {
        using var pipeline = DiffusionPipeline.Load(parsed.GetValue(Folder) ?? "storybook", new PipelineOptions { Device = "cpu" });
        var story = new Story
        {
            Subjects = ["a rabbit"],
            Scenes = [.. Enumerable.Range(0, parsed.GetValue(Batch)).Select(i =>
                new Scene($"a rabbit standing {Settings[i % Settings.Length]}"))],
        };
        var options = new StoryOptions
        {
            Request = new GenerationRequest
            {
                Seed = 7,
                Steps = parsed.GetValue(Steps),
                Height = parsed.GetValue(Height),
                Width = parsed.GetValue(Width),
                GuidanceScale = 4,
            },
            Techniques = parsed.GetValue(Plain) ? StoryAttentionOptions.Disabled : null,
        };
        return timing.Run(parsed, () => pipeline.GenerateStory(story, options).Dispose());
    });

    public static Command Load() => Command("load", "Loading a pipeline folder.", [Folder], (parsed, timing) =>
        timing.Run(parsed, () =>
            DiffusionPipeline.Load(parsed.GetValue(Folder) ?? "storybook", new PipelineOptions { Device = "cpu" }).Dispose()));

    private static Command Command(string name, string description, Option[] options, Func<ParseResult, TimingOptions, JsonObject> run)
    {
        var timing = new TimingOptions();
        var command = new Command(name, description);
        foreach (var option in options)
        {
            command.Add(option);
        }

        timing.AddTo(command);
        command.SetAction(parsed =>
        {
            using var inference = inference_mode();
            timing.SetThreads(parsed);
            var report = run(parsed, timing);
            report["what"] = name;
            report["source"] = parsed.GetValue(Folder) ?? (name is "unet" or "vae-decode" ? "sdxl" : "storybook");
            Console.WriteLine(report.ToJsonString());
        });
        return command;
    }
}
