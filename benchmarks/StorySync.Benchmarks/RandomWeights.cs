using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>A checkpoint of random numbers.</summary>
internal sealed class RandomWeights : ITensorSource
{
    private readonly Device? device;

    private RandomWeights(nn.Module model, Device? device)
    {
        this.device = device;
        Tensors = CheckpointShapes.Of(model).Shapes.ToDictionary(s => s.Key, s => new TensorInfo(s.Key, SafetensorsDtype.F32, s.Value));
    }

    public string Path => "random";

    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Gives a model random weights, made where they are to be.</summary>
    public static T Bind<T>(T model, ScalarType dtype = ScalarType.Float32, Device? device = null)
        where T : nn.Module
    {
        using var source = new RandomWeights(model, device);
        WeightBinder.Bind(model, source, dtype, device);
        return model;
    }

    public Tensor Read(string name) => empty([.. Tensors[name].Shape], device: device).uniform_(-0.02, 0.02);

    public void Dispose()
    {
    }
}
