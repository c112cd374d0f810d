using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>A checkpoint of random numbers.</summary>
internal sealed class RandomWeights : ITensorSource
{
    private RandomWeights(nn.Module model) =>
        Tensors = ModelManifest.Of(model).Shapes.ToDictionary(s => s.Key, s => new TensorInfo(s.Key, SafetensorsDtype.F32, s.Value));

    public string Path => "random";

    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Gives a model random weights.</summary>
    public static T Bind<T>(T model, ScalarType dtype = ScalarType.Float32)
        where T : nn.Module
    {
        using var source = new RandomWeights(model);
        WeightBinder.Bind(model, source, dtype);
        return model;
    }

    public Tensor Read(string name) => empty([.. Tensors[name].Shape]).uniform_(-0.02, 0.02);

    public void Dispose()
    {
    }
}
