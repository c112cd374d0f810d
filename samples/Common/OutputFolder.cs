namespace StorySync.Samples;

/// <summary>The folder that a program writes to: tried before the work, and written to file by file, each whole or not at all.</summary>
internal sealed class OutputFolder
{
    private OutputFolder(string path) => Path = path;

    public string Path { get; }

    /// <summary>Creates the folder where it is missing and tries whether a file can be written there.</summary>
    /// <param name="option">The option that names it, for the message.</param>
    /// <param name="path">The folder.</param>
    /// <exception cref="UserErrorException">The folder cannot be written to.</exception>
    public static OutputFolder Open(string option, string path)
    {
        try
        {
            Directory.CreateDirectory(path);
            using var probe =
                new FileStream(Temporary(path), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            probe.WriteByte(0);
            return new OutputFolder(path);
        }
        catch (Exception exception) when (
            exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UserErrorException(
                File.Exists(path)
                    ? $"{option} is '{path}', which is a file; it must be a folder."
                    : $"{option} is '{path}', where nothing can be written: {Reason(exception)}.",
                exception);
        }
    }

    /// <summary>Writes a file; if that fails, what was there before stays.</summary>
    /// <param name="path">The file, relative to the folder or not.</param>
    /// <param name="bytes">Its bytes.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void Write(string path, byte[] bytes) => Write(path, temporary => File.WriteAllBytes(temporary, bytes));

    /// <summary>Copies a file; if that fails, what was there before stays.</summary>
    /// <param name="source">The file to copy.</param>
    /// <param name="path">The new file, relative to the folder or not.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void CopyFrom(string source, string path) => Write(path, temporary => File.Copy(source, temporary));

    private void Write(string path, Action<string> write)
    {
        var full = System.IO.Path.Combine(Path, path);
        var temporary = Temporary(System.IO.Path.GetDirectoryName(full)!);
        try
        {
            try
            {
                Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
                write(temporary);
                File.Move(temporary, full, overwrite: true);
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UserErrorException($"'{full}' cannot be written: {Reason(exception)}.", exception);
        }
    }

    private static string Temporary(string folder) => System.IO.Path.Combine(folder, $".{System.IO.Path.GetRandomFileName()}");

    /// <summary>What the system said, without the path, which may be that of a temporary file.</summary>
    private static string Reason(Exception exception) => exception switch
    {
        UnauthorizedAccessException => "access is denied",
        DirectoryNotFoundException => "the folder is missing",
        FileNotFoundException => "no file can be created there",
        _ => exception.Message.Split(" : '")[0].TrimEnd('.'),
    };
}
