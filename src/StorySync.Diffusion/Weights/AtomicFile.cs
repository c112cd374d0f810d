namespace StorySync.Diffusion.Weights;

/// <summary>Files that are there whole or not at all.</summary>
internal static class AtomicFile
{
    /// <summary>Writes under a temporary name in the same folder, then moves over <paramref name="path"/>. If anything fails, what was
    /// there before stays, and the temporary file goes.</summary>
    /// <exception cref="IOException">The disk is full, for example; messages name the file, and not the temporary one.</exception>
    public static void Write(string path, Action<FileStream> write)
    {
        var full = Path.GetFullPath(path);
        ThrowIfNoFile(full);
        var temporary = Path.Combine(Path.GetDirectoryName(full)!, $".{Path.GetRandomFileName()}");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, full, overwrite: true);
        }
        catch (Exception exception)
        {
            // Where the folder is missing, deleting throws as well.
            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }

            if (OfFile(exception, temporary, full) is { } named)
            {
                throw named;
            }

            throw;
        }
    }

    /// <summary>Refuses to put a file in the place of a pipe or device: what has no length and cannot be cut to none.</summary>
    private static void ThrowIfNoFile(string path)
    {
        try
        {
            if (RegularFile.LengthOf(path) > 0)
            {
                return;
            }
        }
        catch (IOException)
        {
            // There is none, or a link that leads nowhere, which can be replaced.
            return;
        }

        try
        {
            // For reading too, because who opens a pipe for writing alone waits for its reader.
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            RandomAccess.SetLength(handle, 0);
        }
        catch (UnauthorizedAccessException)
        {
            // A file that may not be written to can be replaced, and a device that may not be written to cannot.
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException or IOException)
        {
            throw new IOException($"Only a file can be written, and this is none : '{path}'", exception);
        }
    }

    private static Exception? OfFile(Exception exception, string temporary, string path)
    {
        var message = exception.Message.Replace(temporary, path, StringComparison.Ordinal);
        return exception switch
        {
            // What .NET makes of a file that is larger than the system allows.
            ArgumentOutOfRangeException { ParamName: "value", Source: "System.Private.CoreLib" } =>
                new IOException($"The file would be larger than files may be : '{path}'", exception),
            _ when message == exception.Message => null,
            DirectoryNotFoundException => new DirectoryNotFoundException(message, exception),
            UnauthorizedAccessException => new UnauthorizedAccessException(message, exception),
            _ => new IOException(message, exception),
        };
    }
}
