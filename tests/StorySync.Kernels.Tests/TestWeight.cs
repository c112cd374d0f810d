using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

/// <summary>A weight as a layer holds it.</summary>
internal sealed class TestWeight : IDisposable
{
    private readonly Parameter parameter;

    public TestWeight(Tensor values)
    {
        parameter = Parameters.Declare(values.shape);
        Storage = new WeightStorage(() => parameter, canDefer: true, values.shape);
        Storage.Replace(values.clone().DetachFromDisposeScope());
    }

    public WeightStorage Storage { get; }

    public Parameter Parameter => parameter;

    public void Dispose()
    {
        Storage.Clear();
        parameter.Dispose();
    }
}
