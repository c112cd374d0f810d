using System.Runtime.CompilerServices;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Parameters that exist as a shape only until a checkpoint gives them their values.</summary>
internal static class Parameters
{
    /// <summary>A parameter on the meta device: it has a shape and takes no memory.</summary>
    public static Parameter Declare(params long[] shape)
    {
        var parameter = new Parameter(empty(shape, device: META), requires_grad: false);
        parameter.DetachFromDisposeScope();

        // The constructor takes the tensor apart but leaves it in TorchSharp's count of live tensors.
        Interlocked.Decrement(ref TotalCount(null));
        return parameter;
    }

    /// <summary>Gives a parameter or buffer the storage of <paramref name="value"/>, whatever its device and dtype, and frees the old one.
    /// The parameter object stays the same, so that every reference to it sees the new values. Consumes
    /// <paramref name="value"/>.</summary>
    public static void Replace(Tensor parameter, Tensor value)
    {
        Swap(parameter, value);
        value.Dispose();
        DerivedWeights.Forget(parameter);
    }

    /// <summary>Lets a parameter or buffer and a tensor trade their storages. Both objects stay the same.</summary>
    public static void Swap(Tensor parameter, Tensor value)
    {
        (Handle(parameter), Handle(value)) = (Handle(value), Handle(parameter));
        MappedPages.Swap(parameter, value);
        DerivedWeights.Drop(parameter);
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticField, Name = "_totalCount")]
    private static extern ref long TotalCount(Tensor? tensor);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "handle")]
    private static extern ref nint Handle(Tensor tensor);
}
