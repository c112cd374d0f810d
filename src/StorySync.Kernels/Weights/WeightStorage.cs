using TorchSharp;
using TorchSharp.Modules;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Owns the values of a layer's weight: they are in the parameter, or still in a mapped file in half precision or in blocks of
/// fewer bits, or packed in the format of a kernel. The parameter is on the meta device while its values are elsewhere, so that nothing is
/// in memory twice.</summary>
/// <param name="parameter">Gets the parameter.</param>
/// <param name="canDefer">Whether the layer reads its weight only here, so that values may stay elsewhere.</param>
/// <param name="shape">The shape of the weight.</param>
/// <remarks>Several runs may use a storage for the first time simultaneously: one packs, all get the same tensors. Replacing values during
/// a run is not supported.</remarks>
internal sealed class WeightStorage(Func<Parameter> parameter, bool canDefer, params long[] shape)
{
    private readonly Lock gate = new();
    private volatile Packing? packing;
    private Tensor? stored;
    private StoredBlocks? blocks;

    // The address of the mapped file's view that the parameter is, and that it was before it was swapped; 0 for memory of its own.
    private nint view;
    private nint otherView;
    private bool isSwapped;

    /// <summary>Gets the shape of the weight.</summary>
    public long[] Shape => shape;

    /// <summary>Gets the number of elements.</summary>
    public long Count => shape.Aggregate(1L, (product, length) => product * length);

    /// <summary>Gets a value indicating whether values may stay elsewhere than in the parameter.</summary>
    public bool CanDefer => canDefer;

    /// <summary>Gets the type in which the layer computes.</summary>
    public ScalarType Dtype
    {
        get
        {
            lock (gate)
            {
                return parameter().dtype;
            }
        }
    }

    /// <summary>Gets a value indicating whether the values are in a mapped file, in half precision.</summary>
    public bool IsDeferred => stored is not null;

    /// <summary>Gets the bytes of the blocks that are decoded in every run; 0 if the values are elsewhere.</summary>
    public long BlockBytes => blocks?.ByteCount ?? 0;

    /// <summary>Gets those of them whose pages are a mapped file's.</summary>
    public long MappedBlockBytes => blocks is { IsView: true } mapped ? mapped.ByteCount : 0;

    /// <summary>Leaves float16 or bfloat16 values for a float32 weight in their mapped file until a kernel needs them.</summary>
    /// <param name="values">A view of the file. It is consumed if the result is <see langword="true"/>.</param>
    /// <param name="dtype">The type in which the layer computes.</param>
    /// <returns><see langword="false"/> if the values have to be loaded.</returns>
    public bool TryDefer(Tensor values, ScalarType dtype)
    {
        if (!canDefer || dtype != ScalarType.Float32 || values.dtype is not (ScalarType.Float16 or ScalarType.BFloat16))
        {
            return false;
        }

        lock (gate)
        {
            Clear();
            Parameters.Replace(parameter(), empty(shape, dtype, META).DetachFromDisposeScope());
            stored = values.DetachFromDisposeScope();
            return true;
        }
    }

    /// <summary>Leaves values in blocks as they are stored; each run decodes them.</summary>
    /// <param name="values">The blocks. They are consumed if the result is <see langword="true"/>.</param>
    /// <param name="dtype">The type in which the layer computes.</param>
    /// <returns><see langword="false"/> if the values have to be loaded.</returns>
    public bool TryDefer(StoredBlocks values, ScalarType dtype)
    {
        if (!canDefer || !values.Shape.SequenceEqual(shape))
        {
            return false;
        }

        lock (gate)
        {
            Clear();
            Parameters.Replace(parameter(), empty(shape, dtype, META).DetachFromDisposeScope());
            blocks = values;
            return true;
        }
    }

    /// <summary>Gets the weight in a kernel's format; packs it in the first call.</summary>
    /// <param name="format">The format.</param>
    /// <param name="inputShape">The shape of the layer's input.</param>
    /// <returns>The packed tensors; <see langword="null"/> if the weight is not one of float32 on the CPU. They belong to the storage; in
    /// another format than the first call's, to the current dispose scope.</returns>
    public Tensor[]? GetOrPack(IWeightFormat format, long[] inputShape)
    {
        if (packing is { } first && first.Format.Equals(format))
        {
            return first.Tensors;
        }

        StoredBlocks decoded;
        lock (gate)
        {
            if (packing is { } made)
            {
                return made.Format.Equals(format) ? made.Tensors : format.Pack(stored ?? made.Values(shape) ?? parameter(), inputShape);
            }

            var weight = parameter();
            if (blocks is null || isSwapped)
            {
                return stored is null && !TensorMemory.IsFloat32OnHost(weight) ? null : PackOnce(weight, format, inputShape);
            }

            if (weight.dtype != ScalarType.Float32)
            {
                return null;
            }

            decoded = blocks;
        }

        // Runs decode side by side: each has values of its own.
        return PackBlocks(decoded, format, inputShape);
    }

    /// <summary>Gets the values, wherever they are; nothing is moved.</summary>
    /// <returns>The parameter itself, or a tensor in the current dispose scope.</returns>
    public Tensor Values()
    {
        StoredBlocks decoded;
        ScalarType dtype;
        lock (gate)
        {
            var weight = parameter();
            if (weight.device_type != DeviceType.META)
            {
                // Another run may pack these values, and take them out of the parameter, before the caller has read them.
                return canDefer && TensorMemory.IsFloat32OnHost(weight) ? weight.alias() : weight;
            }

            if (blocks is null)
            {
                return Elsewhere(weight.dtype) ?? weight;
            }

            (decoded, dtype) = (blocks, weight.dtype);
        }

        return Decode(decoded, dtype);
    }

    /// <summary>Moves the values into the parameter.</summary>
    public void Materialize()
    {
        lock (gate)
        {
            using var scope = NewDisposeScope();
            var weight = parameter();
            if (weight.device_type == DeviceType.META && Elsewhere(weight.dtype) is { } values)
            {
                Put(values.DetachFromDisposeScope());
            }

            Clear();
        }
    }

    /// <summary>Replaces the values.</summary>
    /// <param name="value">The values. The tensor is consumed.</param>
    /// <param name="isView">Whether they are a view of a mapped file.</param>
    public void Replace(Tensor value, bool isView = false)
    {
        lock (gate)
        {
            Clear();
            var address = isView ? PageAdvice.Address(value) : 0;
            Put(value);
            view = address;
        }
    }

    /// <summary>Exchanges the parameter's values with a tensor's, for a time: a second call puts them back.</summary>
    /// <param name="value">The tensor.</param>
    public void Swap(Tensor value)
    {
        lock (gate)
        {
            // What is packed of a tensor that leaves again is not needed any more.
            if (packing is { HoldsValues: true } && !isSwapped)
            {
                Materialize();
            }

            DropPacking();
            Parameters.Swap(parameter(), value);
            (view, otherView, isSwapped) = (otherView, view, !isSwapped);
        }
    }

    /// <summary>Lets the operating system have the pages of the mapped file in which the values are. They are read again when they are
    /// needed.</summary>
    public void ReleasePages()
    {
        lock (gate)
        {
            blocks?.ReleasePages();
            if (stored is { } deferred)
            {
                PageAdvice.Release(deferred);
            }
            else if (view != 0 && PageAdvice.Address(parameter()) == view)
            {
                PageAdvice.Release(parameter());
            }
        }
    }

    /// <summary>Frees all but the parameter.</summary>
    public void Clear()
    {
        lock (gate)
        {
            DropPacking();
            stored?.Dispose();
            blocks?.Dispose();
            (stored, blocks) = (null, null);
            view = 0;
        }
    }

    /// <summary>Packs the values to stay.</summary>
    private Tensor[] PackOnce(Tensor weight, IWeightFormat format, long[] inputShape)
    {
        using var scope = NewDisposeScope();
        var tensors = Array.ConvertAll(format.Pack(stored ?? weight, inputShape), tensor => tensor.DetachFromDisposeScope());
        ReleasePages();
        var holdsValues = stored is null && format.IsReversible;
        if (holdsValues)
        {
            Put(empty(shape, device: META).DetachFromDisposeScope());
        }

        packing = new Packing(format, tensors, holdsValues);
        return tensors;
    }

    /// <summary>Packs blocks for one run: kept, they would take the memory that they save.</summary>
    private static Tensor[] PackBlocks(StoredBlocks blocks, IWeightFormat format, long[] inputShape)
    {
        using var scope = NewDisposeScope();
        var packed = format.Pack(blocks.Decode(), inputShape);
        return Array.ConvertAll(packed, tensor => tensor.MoveToOuterDisposeScope());
    }

    /// <summary>The values that are not in the parameter.</summary>
    private Tensor? Elsewhere(ScalarType dtype) =>
        blocks is null ? stored?.to(dtype) ?? packing?.Values(shape) : Decode(blocks, dtype);

    private static Tensor Decode(StoredBlocks blocks, ScalarType dtype) => Scoped(() => blocks.Decode().to(dtype));

    private void Put(Tensor values)
    {
        Parameters.Replace(parameter(), values);
        view = 0;
    }

    private void DropPacking()
    {
        Array.ForEach(packing?.Tensors ?? [], tensor => tensor.Dispose());
        packing = null;
    }

    private sealed record Packing(IWeightFormat Format, Tensor[] Tensors, bool HoldsValues)
    {
        /// <summary>Restores the values; <see langword="null"/> if they are elsewhere.</summary>
        public Tensor? Values(long[] shape) => HoldsValues ? Format.Unpack(Tensors, shape) : null;
    }
}
