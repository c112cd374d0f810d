using System.Text.Json.Nodes;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

/// <summary>Model folders with random weights, always the same.</summary>
internal static class RandomModel
{
    public static Dictionary<string, Tensor> Weights(nn.Module model)
    {
        using var generator = new Generator(7, CPU);
        return ModuleTensors.Of(model).ToDictionary(entry => entry.Name, entry => randn(entry.Tensor.shape, generator: generator) * 0.2);
    }

    public static ModelFolder Write(TemporaryFolder folder, JsonObject config, IReadOnlyDictionary<string, Tensor> weights)
    {
        folder.Write("config.json", config.ToJsonString());
        SafetensorsWriter.Write(folder.PathOf("model.safetensors"), weights);
        return ModelFolder.Open(folder.Path);
    }
}
