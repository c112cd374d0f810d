using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Where a tensor is in a file.</summary>
/// <param name="Info">What it is.</param>
/// <param name="Offset">Where its bytes begin.</param>
/// <param name="Type">The type that TorchSharp has for its elements; null if there is none.</param>
/// <param name="Format">The format of its blocks; null if it is not in blocks, or in blocks that cannot be read.</param>
internal sealed record StoredTensor(TensorInfo Info, long Offset, ScalarType? Type, BlockFormat? Format)
{
    /// <summary>Gets the type under which its bytes are mapped; null if they cannot be read.</summary>
    public ScalarType? MappedType => Format is not null ? ScalarType.Byte : Type;

    /// <summary>Gets a value indicating whether the elements can be read where they are.</summary>
    public bool IsAligned => Format is not null || Type is null || Offset % Type.Value.ElementSize() == 0;
}

/// <summary>The tensors of a file that is mapped into memory, whatever its format.</summary>
internal sealed class MappedTensors : IDisposable
{
    private readonly Dictionary<string, StoredTensor> entries;
    private readonly Dictionary<ScalarType, Tensor> mappings;
    private readonly MappedFile file;
    private readonly bool maps;
    private bool disposed;

    /// <param name="file">The file, in the care of this from now on.</param>
    /// <param name="tensors">What is in it, and where; none ends after the file's end.</param>
    /// <param name="maps">Whether tensors are views of the mapped file, or read into memory of their own.</param>
    public MappedTensors(MappedFile file, IEnumerable<StoredTensor> tensors, bool maps)
    {
        (this.file, this.maps) = (file, maps);
        entries = tensors.ToDictionary(entry => entry.Info.Name, StringComparer.Ordinal);
        mappings = maps ? Map() : [];
        Tensors = entries.ToDictionary(entry => entry.Key, entry => entry.Value.Info, StringComparer.Ordinal);
    }

    public string Path => file.Path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    public IEnumerable<MappedFile> FilesInUse => file.IsInUse ? [file] : [];

    /// <summary>Reads a tensor; null if its elements are of a kind that cannot be read.</summary>
    public Tensor? Read(string name)
    {
        var entry = Find(name);
        if (entry.Format is not null)
        {
            using var blocks = ReadBlocks(name)!;
            return blocks.Decode();
        }

        if (entry.Type is not { } type)
        {
            return null;
        }

        long[] shape = [.. entry.Info.Shape];
        if (entry.Info.ByteCount == 0)
        {
            return empty(shape, type);
        }

        if (!maps)
        {
            return ReadIntoMemory(entry, shape, type);
        }

        file.ThrowIfChanged();
        if (!entry.IsAligned)
        {
            return CopyUnaligned(entry, shape, type);
        }

        using var flat = View(entry, type);
        return flat.view(shape);
    }

    /// <inheritdoc cref="IBlockSource.ReadBlocks"/>
    public StoredBlocks? ReadBlocks(string name)
    {
        var entry = Find(name);
        if (entry.Format is not { } format)
        {
            return null;
        }

        file.ThrowIfChanged();
        var bytes = entry.Info.ByteCount == 0 ? empty(0, ScalarType.Byte)
            : maps ? View(entry, ScalarType.Byte)
            : ReadIntoMemory(entry, [entry.Info.ByteCount], ScalarType.Byte);
        return new StoredBlocks(bytes, format, entry.Info.Shape, isView: maps && entry.Info.ByteCount > 0);
    }

    /// <summary>Determines whether <see cref="Read"/> returns a view of the file: decoded blocks are none.</summary>
    public bool IsView(string name) => maps && entries.TryGetValue(name, out var entry) && entry.Info.ByteCount > 0 && entry.IsAligned
        && entry.Format is null;

    public void Hold() => file.IsInUse |= maps;

    public void ThrowIfChanged() => file.ThrowIfChanged();

    /// <summary>Lets go of the mapping; tensors that were read keep it alive for as long as they live.</summary>
    public void Dispose()
    {
        disposed = true;
        if (!file.IsInUse)
        {
            file.Dispose();
        }

        foreach (var mapping in mappings.Values)
        {
            mapping.Dispose();
        }
    }

    private StoredTensor Find(string name)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        return entries.TryGetValue(name, out var entry) ? entry
            : throw new KeyNotFoundException($"{Path}: there is no tensor '{name}' among its {entries.Count}.");
    }

    private Tensor View(StoredTensor entry, ScalarType type) =>
        mappings[type].narrow(0, entry.Offset / type.ElementSize(), entry.Info.ByteCount / type.ElementSize());

    /// <summary>Maps the file once for each element type, because a tensor cannot be seen as one of another type without a copy.
    /// A mapping takes addresses, not memory.</summary>
    private Dictionary<ScalarType, Tensor> Map()
    {
        var types = entries.Values.Where(entry => entry.Info.ByteCount > 0 && entry.MappedType is not null)
            .Select(entry => entry.IsAligned ? entry.MappedType!.Value : ScalarType.Byte)
            .Distinct();
        var end = entries.Values.Select(entry => entry.Offset + entry.Info.ByteCount).DefaultIfEmpty().Max();
        return types.ToDictionary(
            type => type, type => from_file(Path, shared: false, end / type.ElementSize(), type, CPU).DetachFromDisposeScope());
    }

    private Tensor ReadIntoMemory(StoredTensor entry, long[] shape, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var result = empty(shape, type);
        var offset = entry.Offset;
        foreach (var piece in TensorBytes.Pieces(result))
        {
            using (piece)
            {
                file.Read(piece.bytes, offset);
                offset += piece.bytes.Length;
            }
        }

        return result.MoveToOuterDisposeScope();
    }

    private Tensor CopyUnaligned(StoredTensor entry, long[] shape, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var result = empty(shape, type);
        TensorBytes.Copy(mappings[ScalarType.Byte].narrow(0, entry.Offset, entry.Info.ByteCount), result);
        return result.MoveToOuterDisposeScope();
    }
}
