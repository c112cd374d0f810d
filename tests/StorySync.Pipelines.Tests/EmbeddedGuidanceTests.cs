using System.Globalization;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A UNet that is told its guidance scale, as LCM-SDXL's is (<c>time_cond_proj_dim</c>).</summary>
public sealed class EmbeddedGuidanceTests
{
    [Theory]
    [InlineData(32, 1.0)]
    [InlineData(32, 7.5)]
    [InlineData(33, 1.0)]
    [InlineData(33, 7.5)]
    public void The_latents_are_those_of_diffusers(int width, double scale)
    {
        using var model = Model(width);
        using var pipeline = Load(model, new() { Device = "cpu", Scheduler = nameof(LCMScheduler) });
        using var result = pipeline.Generate(Request with { GuidanceScale = scale });

        using var golden = new Golden("embedded-guidance.safetensors");
        var name = string.Create(CultureInfo.InvariantCulture, $"{width}.{scale:f1}");
        TensorAssert.Close(golden[name], result.Latents, golden[name + ".tolerance"].item<float>());
    }

    [Fact]
    public void The_denoiser_runs_once_for_an_image_and_is_told_eight()
    {
        using var model = Model(32);
        model.Set("model_index.json", "scheduler", new JsonArray("diffusers", nameof(LCMScheduler)));
        using var pipeline = Load(model, new() { Device = "cpu" });
        var rows = new HashSet<long>();
        pipeline.UNet.register_forward_hook((_, inputs, _, answer) =>
        {
            rows.Add(inputs.Sample.shape[0]);
            return answer;
        });

        using var own = pipeline.Generate(Request with { Steps = null, NegativePrompts = ["rain"] });
        using var told = pipeline.Generate(Request with { GuidanceScale = 8 });
        Assert.Equal([2L], rows);
        Assert.Equal((8.0, SamplingPreset.Lcm.Steps), (pipeline.DefaultGuidanceScale, pipeline.DefaultSteps));
        TensorAssert.SameBits(told.Latents, own.Latents);
        Assert.Contains(own.Warnings, warning => warning.Message.StartsWith("NegativePrompts has no effect", StringComparison.Ordinal));
    }

    private static GenerationRequest Request => new()
    {
        Prompts = ["A red fox walks", "a hill"], Height = 64, Width = 64, Steps = 4, Seeds = [3, 4], LatentsOnly = true,
    };

    private static StableDiffusionXLPipeline Load(ModelCopy model, PipelineOptions options) =>
        StableDiffusionXLPipeline.Load(model.Path, options);

    /// <summary>The small SDXL with the layer, whose weights are sines.</summary>
    private static ModelCopy Model(int width)
    {
        const string Layer = "time_embedding.cond_proj.weight";
        const string Weights = "unet/diffusion_pytorch_model.safetensors";
        var root = Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl");
        var copy = new ModelCopy(root);
        copy.Set("unet/config.json", "time_cond_proj_dim", width);
        copy.Delete(Weights);
        using var scope = NewDisposeScope();
        using var weights = ModelFolder.Open(root).OpenWeights("unet");
        var channels = weights.Tensors["time_embedding.linear_1.weight"].Shape[1];
        var tensors = weights.Tensors.Keys.ToDictionary(name => name, weights.Read);
        tensors[Layer] = (0.7 * arange(channels * width, dtype: float64)).sin().to(float32).reshape(channels, width);
        SafetensorsWriter.Write(copy.PathOf(Weights), tensors);
        return copy;
    }
}
