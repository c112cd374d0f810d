using System.Buffers.Binary;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A safetensors file, mapped into memory. Opening reads the header only; tensors are views of the mapping.</summary>
/// <remarks>Reading is safe from several threads. While a mapping lives its file may be replaced by another of its name, but must not be
/// written to: the operating system ends a process that looks at a page which is gone. <see cref="Read"/> and every run of a pipeline check
/// that it was not. The format is defined at
/// https://github.com/huggingface/safetensors.</remarks>
public sealed class SafetensorsFile : IMappedTensorSource
{
    private readonly Dictionary<string, (TensorInfo Info, long Offset)> entries;
    private readonly Dictionary<ScalarType, Tensor> mappings;
    private readonly MappedFile file;
    private readonly bool maps;
    private bool disposed;

    private SafetensorsFile(string path, SafetensorsHeader header, long dataOffset, MappedFile file, bool maps)
    {
        this.file = file;
        this.maps = maps;
        Path = path;
        Metadata = header.Metadata;
        Tensors = header.Tensors.ToDictionary(info => info.Name, StringComparer.Ordinal);
        entries = header.Tensors.Zip(header.Begins, (info, begin) => (Info: info, Offset: dataOffset + begin))
            .ToDictionary(entry => entry.Info.Name, StringComparer.Ordinal);
        mappings = maps ? Map() : [];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Gets the file's <c>__metadata__</c>; empty if it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file, checks its header and maps it. No tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ModelFileException">The file is missing, truncated, no safetensors file, or breaks a rule of the
    /// format.</exception>
    public static SafetensorsFile Open(string path) => Open(path, maps: true);

    /// <param name="path">The file.</param>
    /// <param name="maps">Whether tensors are views of the mapped file, or read into memory of their own.</param>
    internal static SafetensorsFile Open(string path, bool maps)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ForeignFile.ThrowIfPickleByName(path);
        try
        {
            var file = new MappedFile(path);
            try
            {
                using var stream =
                    new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
                var (header, dataOffset) = ReadHeader(stream, path);
                return new SafetensorsFile(path, header, dataOffset, file, maps);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw ModelFileException.NotFound(path, exception);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or EndOfStreamException or ExternalException)
        {
            throw new ModelFileException(path, Directory.Exists(path) ? "a folder, not a file"
                : $"it cannot be read: {exception.Message}", exception);
        }
    }

    /// <inheritdoc/>
    public Tensor Read(string name)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        if (!entries.TryGetValue(name, out var entry))
        {
            throw new KeyNotFoundException($"{Path}: there is no tensor '{name}' among its {entries.Count}.");
        }

        var info = entry.Info;
        if (info.Dtype.ToScalarType() is not { } type)
        {
            throw new ModelFileException(Path, $"tensor '{name}' is stored as {info.Dtype}, which cannot be read; "
                + $"expected one of {SafetensorsDtypes.Names}: convert the file, or take one that is not quantized");
        }

        long[] shape = [.. info.Shape];
        if (info.ByteCount == 0)
        {
            return empty(shape, type);
        }

        if (!maps)
        {
            return ReadIntoMemory(entry, shape, type);
        }

        file.ThrowIfChanged();
        if (!IsAligned(entry))
        {
            return CopyUnaligned(entry, shape, type);
        }

        var size = info.Dtype.Bits() / 8;
        using var flat = mappings[type].narrow(0, entry.Offset / size, info.ByteCount / size);
        return flat.view(shape);
    }

    /// <exception cref="ModelFileException">The file is not what it was when it was opened.</exception>
    internal void ThrowIfChanged() => file.ThrowIfChanged();

    IEnumerable<MappedFile> IMappedTensorSource.FilesInUse => file.IsInUse ? [file] : [];

    void IMappedTensorSource.Hold(string name) => file.IsInUse = true;

    bool IMappedTensorSource.IsView(string name) => maps && entries.TryGetValue(name, out var entry) && entry.Info.ByteCount > 0
        && IsAligned(entry);

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

    private static (SafetensorsHeader Header, long DataOffset) ReadHeader(FileStream stream, string path)
    {
        var fileLength = stream.Length;
        Span<byte> start = stackalloc byte[sizeof(ulong) + 1];
        var isThere = stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) == start.Length;
        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (!isThere || headerLength > SafetensorsHeader.MaximumLength || start[^1] != '{')
        {
            throw ForeignFile.Detect(stream, path);
        }

        var dataOffset = sizeof(ulong) + (long)headerLength;
        if (dataOffset > fileLength)
        {
            throw new ModelFileException(path, $"the file is truncated: {ByteSize.Progress(fileLength, dataOffset)} of its header "
                + "alone present; download it again, or resume the download");
        }

        var json = new byte[headerLength];
        stream.Position = sizeof(ulong);
        stream.ReadExactly(json);

        try
        {
            var header = SafetensorsHeader.Parse(json);
            CheckLength(path, dataOffset + header.DataLength, fileLength);
            return (header, dataOffset);
        }
        catch (FormatException exception)
        {
            throw new ModelFileException(path, $"no valid safetensors file: {exception.Message}", exception);
        }
        catch (OverflowException exception)
        {
            throw new ModelFileException(path, "no valid safetensors file: its header describes more than 2⁶³ bytes", exception);
        }
    }

    private static void CheckLength(string path, long expected, long actual)
    {
        if (actual < expected)
        {
            throw new ModelFileException(path,
                $"the file is truncated: {ByteSize.Progress(actual, expected)} present; download it again, or resume the download");
        }

        if (actual > expected)
        {
            throw new ModelFileException(path,
                $"no valid safetensors file: {actual - expected} bytes follow the last tensor; download it again");
        }
    }

    /// <summary>Maps the file once for each element type, because a tensor cannot be seen as one of another type without a copy.
    /// A mapping takes addresses, not memory.</summary>
    private Dictionary<ScalarType, Tensor> Map()
    {
        var types = entries.Values.Where(entry => entry.Info.ByteCount > 0 && entry.Info.Dtype.ToScalarType() is not null)
            .Select(entry => IsAligned(entry) ? entry.Info.Dtype : SafetensorsDtype.U8)
            .Distinct();
        var end = entries.Values.Select(entry => entry.Offset + entry.Info.ByteCount).DefaultIfEmpty().Max();
        var result = new Dictionary<ScalarType, Tensor>();
        foreach (var dtype in types)
        {
            var type = dtype.ToScalarType()!.Value;
            result.Add(type, from_file(Path, shared: false, end / (dtype.Bits() / 8), type, CPU).DetachFromDisposeScope());
        }

        return result;
    }

    private static bool IsAligned((TensorInfo Info, long Offset) entry) => entry.Offset % (entry.Info.Dtype.Bits() / 8) == 0;

    private Tensor ReadIntoMemory((TensorInfo Info, long Offset) entry, long[] shape, ScalarType type)
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

    private Tensor CopyUnaligned((TensorInfo Info, long Offset) entry, long[] shape, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var result = empty(shape, type);
        TensorBytes.Copy(mappings[ScalarType.Byte].narrow(0, entry.Offset, entry.Info.ByteCount), result);
        return result.MoveToOuterDisposeScope();
    }
}
