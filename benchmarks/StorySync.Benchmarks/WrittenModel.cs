using System.Text.Json;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>A part of a model in diffusers' layout with random weights, where other programs can read it too.</summary>
internal static class WrittenModel
{
    private static readonly JsonSerializerOptions ConfigNames = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Writes it, unless it is there.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="part">The part's folder in it.</param>
    /// <param name="model">The part, without weights.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="stored">The type of the weights: float32, bfloat16 or float16.</param>
    public static void Once(string folder, string part, nn.Module model, object config, ScalarType stored)
    {
        var path = Directory.CreateDirectory(Path.Combine(folder, part)).FullName;
        var weights = Path.Combine(path, "diffusion_pytorch_model.safetensors");
        if (File.Exists(weights))
        {
            return;
        }

        var type = stored switch
        {
            ScalarType.BFloat16 => SafetensorsDtype.BF16,
            ScalarType.Float16 => SafetensorsDtype.F16,
            _ => SafetensorsDtype.F32,
        };
        var shapes = CheckpointShapes.Of(model).Shapes;
        SafetensorsWriter.Write(
            weights,
            shapes.Select(shape => new TensorInfo(shape.Key, type, shape.Value)),
            name => empty([.. shapes[name]]).uniform_(-0.02, 0.02).to(stored));
        var entries = JsonSerializer.SerializeToNode(config, config.GetType(), ConfigNames)!;
        entries["_class_name"] = model.GetType().Name;
        File.WriteAllText(Path.Combine(path, "config.json"), entries.ToJsonString());
    }
}
