using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A checkpoint whose matrices and convolutions are rounded to 8 bits when they are read as blocks, with a scale for each output
/// channel. What is stored in 8 bits or fewer stays as it is.</summary>
/// <param name="source">The checkpoint, which is disposed with this.</param>
internal sealed class QuantizedTensors(ITensorSource source) : IMappedTensorSource, IBlockSource
{
    public string Path => source.Path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => source.Tensors;

    public IEnumerable<MappedFile> FilesInUse => (source as IMappedTensorSource)?.FilesInUse ?? [];

    public Tensor Read(string name) => source.Read(name);

    public StoredBlocks? ReadBlocks(string name) => (source as IBlockSource)?.ReadBlocks(name) ?? Round(name);

    public bool IsView(string name) => source is IMappedTensorSource mapped && mapped.IsView(name);

    public void Hold(string name) => (source as IMappedTensorSource)?.Hold(name);

    public void Dispose() => source.Dispose();

    private StoredBlocks? Round(string name)
    {
        var (dtype, shape) = (source.Tensors[name].Dtype, source.Tensors[name].Shape);
        var columns = shape.Skip(1).Aggregate(1L, (product, size) => product * size);
        if (!dtype.IsReadableFloat() || shape.Count < 2 || shape[0] == 0 || columns is 0 or > int.MaxValue / 2)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        var stored = source.Read(name);
        var format = new Int8Rows((int)columns);
        var bytes = format.Encode(stored.to(float32).contiguous());
        if (IsView(name))
        {
            PageAdvice.Release(stored);
        }

        return bytes is null ? null : new StoredBlocks(bytes.view(-1), format, shape, isView: false);
    }
}
