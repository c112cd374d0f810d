using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A LoRA of one layer's queries, loaded into a pipeline. The pipeline is without it afterwards, however the test
/// ends.</summary>
internal sealed class SmallLora : IDisposable
{
    private readonly DiffusionPipeline pipeline;
    private readonly string name;

    /// <param name="pipeline">SDXL's or FLUX's.</param>
    /// <param name="value">Each number of it.</param>
    public SmallLora(DiffusionPipeline pipeline, float value)
    {
        this.pipeline = pipeline;
        var (denoiser, prefix) = pipeline switch
        {
            StableDiffusionXLPipeline sdxl => ((nn.Module)sdxl.UNet, "unet"),
            FluxPipeline flux => (flux.Transformer, "transformer"),
            _ => throw new InvalidOperationException("LoRAs are for SDXL and FLUX."),
        };
        var layer = pipeline.AttentionProcessors.Layers.First().Path + ".to_q";
        var shape = CheckpointShapes.Of(denoiser).Shapes[layer + ".weight"];
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("lora.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            [$"{prefix}.{layer}.lora_A.weight"] = full([2, shape[1]], value),
            [$"{prefix}.{layer}.lora_B.weight"] = full([shape[0], 2], value),
        });
        name = pipeline.Loras.Load(path);
    }

    public void SetScale(double scale) => pipeline.Loras.SetScale(name, scale);

    public void Dispose()
    {
        if (pipeline.Loras.Scales.ContainsKey(name))
        {
            pipeline.Loras.Remove(name);
        }
    }
}
