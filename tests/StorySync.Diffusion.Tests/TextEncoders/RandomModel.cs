using StorySync.Diffusion.Weights;
using StorySync.Diffusion.Tests.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

/// <summary>A model folder with random weights.</summary>
internal static class RandomModel
{
    /// <param name="folder">Where to write.</param>
    /// <param name="model">A model without weights, that has the tensors to write.</param>
    /// <param name="config">The text of its config.json.</param>
    /// <param name="rename">The name in the file of each tensor.</param>
    /// <param name="type">The type to store.</param>
    /// <param name="extra">What the file holds besides.</param>
    public static ModelFolder Write(
        TemporaryFolder folder,
        nn.Module model,
        string config,
        Func<string, string>? rename = null,
        ScalarType type = ScalarType.Float32,
        params (string Name, Tensor Tensor)[] extra)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7, CPU);
        var tensors = ModuleTensors.Of(model).ToDictionary(
            entry => rename?.Invoke(entry.Name) ?? entry.Name,
            entry => (randn(entry.Tensor.shape, generator: generator) * 0.2).to(type));
        foreach (var (name, tensor) in extra)
        {
            tensors.Add(name, tensor);
        }

        SafetensorsWriter.Write(folder.File("model.safetensors"), tensors);
        folder.File("config.json", config);
        return ModelFolder.Open(folder.Path);
    }
}
