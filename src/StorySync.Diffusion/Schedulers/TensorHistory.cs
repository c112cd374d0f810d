using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>The latest tensors of a run, newest first. It shares their storage, and outlives the scope and the handle they came
/// in.</summary>
internal sealed class TensorHistory(int capacity) : IDisposable
{
    private readonly List<Tensor> tensors = new(capacity + 1);

    public int Count => tensors.Count;

    /// <summary>Gets the tensor that was pushed <paramref name="age"/> pushes before the newest.</summary>
    public Tensor this[int age] => tensors[age];

    public void Push(Tensor tensor)
    {
        tensors.Insert(0, tensor.alias().DetachFromDisposeScope());
        if (tensors.Count > capacity)
        {
            tensors[capacity].Dispose();
            tensors.RemoveAt(capacity);
        }
    }

    public void Clear()
    {
        tensors.ForEach(t => t.Dispose());
        tensors.Clear();
    }

    public void Dispose() => Clear();
}
