namespace StorySync.Diffusion.Weights;

/// <summary>A small file of a model: a config or a vocabulary.</summary>
/// <param name="Path">What messages call it.</param>
/// <param name="Bytes">All of it.</param>
internal sealed record FileContent(string Path, byte[] Bytes)
{
    // The largest vocabularies have some 30 MB; the bound keeps a file that is none from filling the memory.
    private const long MostBytes = 256 << 20;

    /// <exception cref="ModelFileException">The file is missing, too large or cannot be read.</exception>
    public static FileContent Read(string path)
    {
        try
        {
            // Nothing is read of what has no length: pipes and devices would be waited for.
            return RegularFile.LengthOf(path) switch
            {
                0 => new(path, []),
                > MostBytes and var length => throw new ModelFileException(path,
                    $"it has {ByteSize.Text(length)}; a config or vocabulary of a model has at most {ByteSize.Text(MostBytes)}"),
                _ => new(path, File.ReadAllBytes(path)),
            };
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw ModelFileException.NotFound(path, exception);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or (IOException and not ModelFileException))
        {
            throw new ModelFileException(path, $"it cannot be read: {exception.Message}", exception);
        }
    }
}
