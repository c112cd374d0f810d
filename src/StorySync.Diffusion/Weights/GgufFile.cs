using System.Runtime.InteropServices;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A GGUF file, mapped into memory: tensors in floating point, or in blocks of fewer bits, which stay as they are stored until
/// they are needed. The format is defined at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.</summary>
internal sealed class GgufFile : IMappedTensorSource, IBlockSource
{
    private readonly MappedTensors tensors;

    private GgufFile(GgufHeader header, MappedFile file, bool maps)
    {
        tensors = new(file, header.Tensors, maps);
        Metadata = header.Metadata;
    }

    public string Path => tensors.Path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors.Tensors;

    /// <summary>Gets the texts of the header, by key.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Determines whether a file begins as GGUF files do.</summary>
    public static bool IsGguf(string path)
    {
        try
        {
            Span<byte> start = stackalloc byte[4];
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            return stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) == start.Length && start.SequenceEqual("GGUF"u8);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Whoever opens it says what is wrong.
            return false;
        }
    }

    /// <summary>Opens a file, checks its header and maps it. No tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maps">Whether tensors are views of the mapped file, or read into memory of their own.</param>
    /// <exception cref="ModelFileException">The file is missing, truncated, no GGUF file, breaks a rule of the format, or has a tensor of a
    /// type that is not read.</exception>
    public static GgufFile Open(string path, bool maps = true)
    {
        try
        {
            var file = new MappedFile(path);
            try
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                return new GgufFile(GgufHeader.Read(stream), file, maps);
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
        catch (EndOfStreamException exception)
        {
            throw new ModelFileException(path, "the file is truncated: it ends within its header; download it again", exception);
        }
        catch (Exception exception) when (exception is FormatException or OverflowException)
        {
            throw new ModelFileException(path, $"no valid GGUF file: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or ExternalException)
        {
            throw new ModelFileException(path, $"it cannot be read: {exception.Message}", exception);
        }
    }

    public Tensor Read(string name) => tensors.Read(name)!;

    public StoredBlocks? ReadBlocks(string name) => tensors.ReadBlocks(name);

    public bool IsView(string name) => tensors.IsView(name);

    public void Hold(string name) => tensors.Hold();

    public IEnumerable<MappedFile> FilesInUse => tensors.FilesInUse;

    public void Dispose() => tensors.Dispose();
}
