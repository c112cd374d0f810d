namespace StorySync.Diffusion.Weights;

/// <summary>A small file of a model: a config or a vocabulary.</summary>
/// <param name="Path">What messages call it.</param>
/// <param name="Bytes">All of it.</param>
internal sealed record FileContent(string Path, byte[] Bytes)
{
    /// <exception cref="ModelFileException">The file is missing or cannot be read.</exception>
    public static FileContent Read(string path)
    {
        try
        {
            return new(path, File.ReadAllBytes(path));
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw ModelFileException.NotFound(path, exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new ModelFileException(path, $"it cannot be read: {exception.Message}", exception);
        }
    }
}
