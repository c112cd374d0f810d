namespace StorySync.Diffusion.Weights;

/// <summary>The exception that is thrown when a file of a model is missing, damaged or invalid. The message names the file and says what to
/// do.</summary>
public class ModelFileException : IOException
{
    /// <summary>Initializes a new instance of the <see cref="ModelFileException"/> class.</summary>
    /// <param name="path">The file or folder at fault.</param>
    /// <param name="problem">What was found, what was expected and what to do, as the rest of a sentence that starts with the path.</param>
    /// <param name="innerException">What made it known.</param>
    public ModelFileException(string path, string problem, Exception? innerException = null)
        : base($"{path}: {problem}", innerException)
    {
        Path = path;
    }

    /// <summary>Gets the file or folder at fault.</summary>
    public string Path { get; }

    /// <summary>For a file that is not there; in the Hugging Face cache a name can be there that links to nothing.</summary>
    internal static ModelFileException NotFound(string path, Exception? innerException = null) => new(path,
        Directory.Exists(path) ? "a folder, not a file"
            : new FileInfo(path).LinkTarget is { } target
                ? $"it links to {target}, which is missing: the download is not complete; run it again"
            : "there is no such file", innerException);
}
