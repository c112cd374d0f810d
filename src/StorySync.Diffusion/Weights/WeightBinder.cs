using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Assigns to a module the weights of a checkpoint.</summary>
public static class WeightBinder
{
    /// <summary>Binds every tensor of a checkpoint to the parameter or buffer of its name. Where type and device allow it, the module
    /// gets views of the mapped file; otherwise tensors are converted one at a time and nothing is held twice. On the CPU layers convert
    /// float16 and bfloat16 weights to float32 when they first run; until then the parameter is on the meta device.</summary>
    /// <param name="module">The module, best built on the meta device. It is touched only when the whole checkpoint fits.</param>
    /// <param name="source">The checkpoint. It may be disposed afterwards.</param>
    /// <param name="dtype">The type that floating-point tensors are to have; null keeps the stored one.</param>
    /// <param name="device">Where the tensors are to be; null is the CPU.</param>
    /// <param name="rename">Maps a name in the checkpoint to the module's name for it, or to null if the tensor is not wanted. Where
    /// several names lead to one parameter (tied weights), the parameter's own name is taken first, else the first in order.</param>
    /// <param name="cancellationToken">Stops between two tensors; the module is then of no use.</param>
    /// <exception cref="WeightMismatchException">Tensors are missing, unexpected or do not have the expected shape.</exception>
    public static void Bind(
        nn.Module module,
        ITensorSource source,
        ScalarType? dtype = null,
        Device? device = null,
        Func<string, string?>? rename = null,
        CancellationToken cancellationToken = default) =>
        Bind(module, source, _ => dtype, device, rename, cancellationToken);

    /// <summary>Binds a checkpoint like
    /// <see cref="Bind(nn.Module, ITensorSource, ScalarType?, Device?, Func{string, string?}?, CancellationToken)"/>, with types that
    /// differ from tensor to tensor.</summary>
    /// <param name="module">The module, best built on the meta device. It is touched only when the whole checkpoint fits.</param>
    /// <param name="source">The checkpoint. It may be disposed afterwards.</param>
    /// <param name="dtype">For a floating-point tensor, by the module's name for it, the type that it is to have; null keeps the
    /// stored one.</param>
    /// <param name="device">Where the tensors are to be; null is the CPU.</param>
    /// <param name="rename">As there.</param>
    /// <param name="cancellationToken">Stops between two tensors; the module is then of no use.</param>
    /// <exception cref="WeightMismatchException">Tensors are missing, unexpected or do not have the expected shape.</exception>
    public static void Bind(
        nn.Module module,
        ITensorSource source,
        Func<string, ScalarType?> dtype,
        Device? device = null,
        Func<string, string?>? rename = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(dtype);
        var targets = ModuleTensors.Of(module).ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        var origins = Origins(source, rename);
        ThrowUnlessFits(source, targets, origins);
        foreach (var (name, target) in targets)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Load(target, source, origins[name], dtype(name), device ?? CPU);
        }
    }

    private static void ThrowUnlessFits(ITensorSource source, Dictionary<string, ModuleTensor> targets, Dictionary<string, string> origins)
    {
        var missing = targets.Where(target => !origins.ContainsKey(target.Key)).Select(target =>
            (target.Key, target.Value.Tensor.shape)).ToList();
        var unexpected = new List<TensorInfo>();
        var misshaped = new List<(TensorInfo Stored, long[] Wanted)>();
        foreach (var (name, origin) in origins)
        {
            var stored = source.Tensors[origin];
            if (!targets.TryGetValue(name, out var target))
            {
                unexpected.Add(stored);
            }
            else if (target.Tensor.shape is var wanted && !wanted.SequenceEqual(stored.Shape))
            {
                misshaped.Add((stored, wanted));
            }
        }

        if (missing.Count + unexpected.Count + misshaped.Count > 0)
        {
            throw new WeightMismatchException(source, missing, unexpected, misshaped);
        }

        ThrowIfWhole(source, targets, origins);
    }

    /// <summary>Refuses whole numbers and booleans where a model computes with fractions.</summary>
    private static void ThrowIfWhole(ITensorSource source, Dictionary<string, ModuleTensor> targets, Dictionary<string, string> origins)
    {
        var whole = origins.Select(origin => (Target: targets[origin.Key], Stored: source.Tensors[origin.Value])).FirstOrDefault(pair =>
            pair.Target.Tensor.is_floating_point() && pair.Stored.Dtype.ToScalarType() is not null
                && !pair.Stored.Dtype.IsReadableFloat());
        if (whole.Stored is not null)
        {
            throw new ModelFileException(source.Path, $"'{whole.Stored.Name}' is stored as {whole.Stored.Dtype}; a weight must be one of "
                + "F16, BF16, F32 and F64: take a checkpoint that is not quantized");
        }
    }

    private static Dictionary<string, string> Origins(ITensorSource source, Func<string, string?>? rename)
    {
        var origins = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in source.Tensors.Keys.Order(StringComparer.Ordinal))
        {
            if ((rename is null ? name : rename(name)) is { } target && (!origins.ContainsKey(target) || name == target))
            {
                origins[target] = name;
            }
        }

        return origins;
    }

    private static void Load(ModuleTensor target, ITensorSource source, string name, ScalarType? dtype, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        if (device.type == DeviceType.CPU && target.Storage is { CanDefer: true } storage
            && (source as IBlockSource)?.ReadBlocks(name) is { } blocks)
        {
            var isFile = blocks.IsView;
            if (storage.TryDefer(blocks, dtype ?? ScalarType.Float32))
            {
                if (isFile)
                {
                    ((IMappedTensorSource)source).Hold(name);
                }

                return;
            }

            blocks.Dispose();
        }

        var stored = source.Read(name);
        scope.Attach(stored);
        var isView = source is IMappedTensorSource mapped && mapped.IsView(name);
        var type = stored.is_floating_point() ? dtype ?? stored.dtype : stored.dtype;
        var onHost = device.type == DeviceType.CPU;
        if (onHost && type == stored.dtype)
        {
            target.Replace(stored.DetachFromDisposeScope(), isView);
            Hold();
        }
        else if (!onHost || !isView || target.Storage is null || !target.Storage.TryDefer(stored, type))
        {
            target.Replace(stored.to(type, device).DetachFromDisposeScope());
            if (isView)
            {
                PageAdvice.Release(stored);
            }
        }
        else
        {
            Hold();
        }

        void Hold()
        {
            if (isView)
            {
                ((IMappedTensorSource)source).Hold(name);
            }
        }
    }
}
