using System.Buffers.Binary;
using System.Runtime.InteropServices;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Represents a safetensors file, mapped into memory. Opening reads the header only; tensors are views of the mapping.</summary>
/// <remarks>Reading is safe from several threads. While a mapping lives its file may be replaced by another of its name, but must not be
/// written to: the operating system ends a process that looks at a page which is gone. <see cref="Read"/> and every run of a pipeline check
/// that it was not. The format is defined at
/// https://github.com/huggingface/safetensors.</remarks>
public sealed class SafetensorsFile : IMappedTensorSource, IBlockSource
{
    private readonly MappedTensors tensors;

    private SafetensorsFile(SafetensorsHeader header, long dataOffset, MappedFile file, bool maps)
    {
        Metadata = header.Metadata;
        tensors = new(
            file,
            header.Tensors.Zip(header.Begins, (info, begin) =>
                new StoredTensor(info, dataOffset + begin, info.Dtype.ToScalarType(), info.Dtype.ToBlockFormat())),
            maps);
    }

    /// <inheritdoc/>
    public string Path => tensors.Path;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors.Tensors;

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
            if (RegularFile.LengthOf(path) == 0)
            {
                throw ForeignFile.Empty(path);
            }

            var file = new MappedFile(path);
            try
            {
                using var stream =
                    new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
                var (header, dataOffset) = ReadHeader(stream, path);
                return new SafetensorsFile(header, dataOffset, file, maps);
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
        catch (Exception exception) when (
            exception is UnauthorizedAccessException or ExternalException or (IOException and not ModelFileException))
        {
            throw new ModelFileException(path, $"it cannot be read: {exception.Message}", exception);
        }
    }

    /// <inheritdoc/>
    public Tensor Read(string name) => tensors.Read(name) ?? throw new ModelFileException(Path,
        $"tensor '{name}' is stored as {Tensors[name].Dtype}, which cannot be read; "
        + $"expected one of {SafetensorsDtypes.Names}: convert the file, or take one that is not quantized");

    StoredBlocks? IBlockSource.ReadBlocks(string name) => tensors.ReadBlocks(name);

    /// <exception cref="ModelFileException">The file is not what it was when it was opened.</exception>
    internal void ThrowIfChanged() => tensors.ThrowIfChanged();

    IEnumerable<MappedFile> IMappedTensorSource.FilesInUse => tensors.FilesInUse;

    void IMappedTensorSource.Hold(string name) => tensors.Hold();

    bool IMappedTensorSource.IsView(string name) => tensors.IsView(name);

    /// <summary>Lets go of the mapping; tensors that were read keep it alive for as long as they live.</summary>
    public void Dispose() => tensors.Dispose();

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
}
