using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Provides parameters that are only a shape until a checkpoint gives them their values.</summary>
internal static class Parameters
{
    /// <summary>Creates a parameter on the meta device: it has a shape and takes no memory.</summary>
    /// <exception cref="ArgumentException">A length is below 0, or the bytes cannot be counted.</exception>
    public static Parameter Declare(params long[] shape)
    {
        if (Array.Exists(shape, length => length < 0)
            || shape.Aggregate((double)sizeof(double), (bytes, length) => bytes * length) >= long.MaxValue)
        {
            throw new ArgumentException($"A layer cannot have weights of the sizes ({string.Join(", ", shape)}).");
        }

        var parameter = new Parameter(empty(shape, device: META), requires_grad: false);
        parameter.DetachFromDisposeScope();

        // The constructor takes the tensor apart but leaves it in TorchSharp's count of live tensors.
        Interlocked.Decrement(ref TotalCount(null));
        return parameter;
    }

    /// <summary>Gives a parameter or buffer the values of another tensor, whatever its device and type, and frees the old ones. The object
    /// stays the same, so that every reference to it sees the new values.</summary>
    /// <param name="parameter">The parameter; it must not be in the care of a <see cref="WeightStorage"/>.</param>
    /// <param name="value">The values. The tensor is consumed.</param>
    public static void Replace(Tensor parameter, Tensor value)
    {
        Swap(parameter, value);
        value.Dispose();
    }

    /// <summary>Exchanges the values of two tensors. Both objects stay the same.</summary>
    public static void Swap(Tensor parameter, Tensor value) => (Handle(parameter), Handle(value)) = (Handle(value), Handle(parameter));

    [UnsafeAccessor(UnsafeAccessorKind.StaticField, Name = "_totalCount")]
    private static extern ref long TotalCount(Tensor? tensor);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "handle")]
    private static extern ref nint Handle(Tensor tensor);
}
