namespace StorySync.Documents;

/// <summary>Image files that the user names.</summary>
internal static class ImageFile
{
    /// <summary>The largest size in bytes.</summary>
    private const long Largest = 256 << 20;

    /// <summary>Reads an image file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">What is read of it.</param>
    /// <param name="prefix">What a message begins with, such as the option that names the file.</param>
    /// <param name="expected">What a message ends with.</param>
    /// <param name="what">What it should be, for the message of <see cref="RegularFile.Check"/>.</param>
    /// <exception cref="DocumentException">There is no such file, or no such image in it.</exception>
    public static T Read<T>(string path, Func<string, T> read, string prefix = "", string expected = "", string what = "image")
    {
        RegularFile.Check(path, what, Largest);
        try
        {
            return read(path);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException)
        {
            throw new DocumentException($"{prefix}{Fault(exception)}{expected}", exception);
        }
    }

    /// <summary>What is wrong with an image, in one line and without what only a program can do.</summary>
    public static string Fault(Exception exception) => English.OneLine(exception.Message)
        .Replace(", or raise maxPixels if you trust the file", "", StringComparison.Ordinal);
}
