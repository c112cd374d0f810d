using System.Text.Json.Nodes;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>The embedded model with a UNet of SDXL's own form and seeded random weights: no attention in the first block on the way down
/// nor in the last on the way up.</summary>
public sealed class SdxlForm : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public SdxlForm()
    {
        var embedded = ModelFolder.Open("storybook");
        foreach (var entry in Directory.EnumerateDirectories(embedded.Path).Where(entry => System.IO.Path.GetFileName(entry) != "unet"))
        {
            Directory.CreateSymbolicLink(folder.PathOf(System.IO.Path.GetFileName(entry)), entry);
        }

        File.Copy(System.IO.Path.Combine(embedded.Path, "model_index.json"), folder.PathOf("model_index.json"));
        var unet = Directory.CreateDirectory(folder.PathOf("unet")).FullName;
        var config = JsonNode.Parse(File.ReadAllText(embedded.FilePath("unet", "config.json")))!;
        config["down_block_types"] = new JsonArray("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D");
        config["up_block_types"] = new JsonArray("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D");
        config["block_out_channels"] = new JsonArray(32, 64, 96);
        config["attention_head_dim"] = new JsonArray(2, 4, 6);
        config["transformer_layers_per_block"] = new JsonArray(1, 2, 1);
        File.WriteAllText(System.IO.Path.Combine(unet, "config.json"), config.ToJsonString());

        using var model = new UNet2DConditionModel(ModelFolder.Open(folder.Path).Config<UNet2DConditionConfig>("unet", "config.json"));
        using var random = new Generator(5);
        SafetensorsWriter.Write(
            System.IO.Path.Combine(unet, "diffusion_pytorch_model.safetensors"),
            CheckpointShapes.Of(model).Shapes.Select(s => new TensorInfo(s.Key, SafetensorsDtype.F32, s.Value)),
            name => Weights(name, [.. CheckpointShapes.Of(model).Shapes[name]], random));
    }

    public string Path => folder.Path;

    public void Dispose() => folder.Dispose();

    /// <summary>Norms that leave their input, and layers that keep the variance of theirs.</summary>
    private static Tensor Weights(string name, long[] shape, Generator random)
    {
        using var scope = NewDisposeScope();
        var values = shape.Length == 1
            ? (name.EndsWith("weight", StringComparison.Ordinal) ? ones(shape) : zeros(shape))
            : randn(shape, generator: random) / Math.Sqrt(shape.Skip(1).Aggregate(1.0, (product, side) => product * side));
        return values.MoveToOuterDisposeScope();
    }
}
