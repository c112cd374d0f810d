using Microsoft.Win32.SafeHandles;

namespace StorySync.Diffusion.Weights;

/// <summary>Watches a file whose bytes are in use where they are: mapped into memory, it must stay as it is. A file that takes its name
/// is another one, and does no harm.</summary>
internal sealed class MappedFile : IDisposable
{
    private readonly SafeFileHandle handle;
    private readonly long length;
    private readonly DateTime lastWriteTime;

    /// <param name="path">The file.</param>
    public MappedFile(string path)
    {
        Path = path;

        // Shared with everybody: a lock of .NET's would keep its own programs from replacing the file.
        handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        (length, lastWriteTime) = (RandomAccess.GetLength(handle), File.GetLastWriteTimeUtc(handle));
    }

    /// <summary>Gets the file.</summary>
    public string Path { get; }

    /// <summary>Gets or sets a value indicating whether tensors that outlive the reading are views of the file.</summary>
    public bool IsInUse { get; set; }

    /// <summary>Reads bytes of the file.</summary>
    /// <exception cref="ModelFileException">The file has become shorter.</exception>
    public void Read(Span<byte> target, long offset)
    {
        while (target.Length > 0)
        {
            var count = RandomAccess.Read(handle, target, offset);
            if (count == 0)
            {
                throw Changed();
            }

            target = target[count..];
            offset += count;
        }
    }

    /// <exception cref="ModelFileException">The file is not what it was when it was opened.</exception>
    public void ThrowIfChanged()
    {
        if (RandomAccess.GetLength(handle) != length || File.GetLastWriteTimeUtc(handle) != lastWriteTime)
        {
            throw Changed();
        }
    }

    public void Dispose() => handle.Dispose();

    private ModelFileException Changed() => new(Path, "the file was changed while its weights were in use, so they are lost; "
        + "load the model again. To change such files, write new ones and move them over the old; or load with PipelineOptions.MapWeights "
        + "false");
}
