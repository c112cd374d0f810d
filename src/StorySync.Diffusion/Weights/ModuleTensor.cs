using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A parameter or persistent buffer of a module.</summary>
/// <param name="Name">The path of the tensor in the module.</param>
/// <param name="Tensor">The tensor. Its values may be elsewhere: see <see cref="Values"/>.</param>
/// <param name="Storage">Where its values are; null if they are in the tensor.</param>
internal sealed record ModuleTensor(string Name, Tensor Tensor, WeightStorage? Storage)
{
    /// <summary>Gets the number of elements.</summary>
    public long Count => Storage?.Count ?? Tensor.numel();

    /// <summary>Gets the values, wherever they are; nothing is moved.</summary>
    /// <returns>The tensor itself, or a tensor in the current dispose scope.</returns>
    public Tensor Values() => Storage?.Values() ?? Tensor;

    /// <summary>Moves the values into the tensor.</summary>
    public void Materialize() => Storage?.Materialize();

    /// <summary>Replaces the values. Every reference to the tensor sees the new ones.</summary>
    /// <param name="value">The values, of any type and on any device. The tensor is consumed.</param>
    /// <param name="isView">Whether they are a view of a mapped file.</param>
    public void Replace(Tensor value, bool isView = false)
    {
        if (Storage is null)
        {
            Parameters.Replace(Tensor, value);
        }
        else
        {
            Storage.Replace(value, isView);
        }
    }

    /// <summary>Exchanges the values with a tensor's, for a time: a second call puts them back.</summary>
    public void Swap(Tensor value)
    {
        if (Storage is null)
        {
            Parameters.Swap(Tensor, value);
        }
        else
        {
            Storage.Swap(value);
        }
    }
}
