using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A computation on tensors in the CPU's memory, written for vectors of any width.</summary>
/// <remarks>A kernel checks the sizes of its arguments in its constructor, in one place, so that it may read and write without further
/// checks. With the environment variable <c>STORYSYNC_CHECKED=1</c> each access is checked all the same: see
/// <see cref="MemoryGuard"/>.</remarks>
internal abstract unsafe class Kernel
{
    private readonly List<Tensor> tensors = [];
    private readonly List<GuardedMemory> guards = [];

    /// <summary>Gets a value indicating whether the sizes allow for vectors of 512 bits.</summary>
    protected virtual bool Allows512 => true;

    /// <summary>Computes, with the widest vectors that the processor and the sizes allow.</summary>
    public void Run()
    {
        var wide = Simd.Use512 && Allows512;
        if (MemoryGuard.IsOn)
        {
            RunChecked(wide);
        }
        else if (wide)
        {
            Compute<Vector512Float>();
        }
        else
        {
            Compute<VectorNative>();
        }

        // The tensors, too, whose addresses are all that the computation has.
        GC.KeepAlive(this);
    }

    /// <summary>Computes.</summary>
    protected abstract void Compute<V>()
        where V : unmanaged, IFloatVector<V>;

    /// <summary>Gets the address of a tensor that is read, and keeps the tensor alive.</summary>
    protected float* Input(Tensor? tensor)
    {
        if (tensor is null)
        {
            return null;
        }

        tensors.Add(tensor);
        var address = TensorMemory.Address(tensor);
        if (MemoryGuard.IsOn)
        {
            guards.Add(MemoryGuard.Allow(address, TensorMemory.Extent(tensor), canWrite: false));
        }

        return address;
    }

    /// <summary>Creates a contiguous float32 tensor that is written.</summary>
    protected Tensor Allocate(out float* address, params long[] shape)
    {
        Tensor tensor;
        if (MemoryGuard.IsOn)
        {
            (tensor, var guard) = MemoryGuard.Allocate(shape);
            guards.Add(guard);
        }
        else
        {
            tensor = empty(shape);
        }

        tensors.Add(tensor);
        address = tensor.numel() == 0 ? null : TensorMemory.Address(tensor);
        return tensor;
    }

    private void RunChecked(bool wide)
    {
        try
        {
            if (wide)
            {
                Compute<CheckedVector<Vector512Float>>();
            }
            else
            {
                Compute<CheckedVector<VectorNative>>();
            }

            guards.ForEach(guard => guard.Verify());
        }
        finally
        {
            guards.ForEach(guard => guard.Dispose());
        }
    }
}
