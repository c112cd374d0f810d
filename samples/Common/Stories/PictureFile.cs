namespace StorySync.Samples;

/// <summary>Image files that the user names.</summary>
internal static class PictureFile
{
    /// <summary>The largest size in bytes.</summary>
    public const long Largest = 256 << 20;

    /// <summary>What is wrong with an image, in one line and without what only a program can do.</summary>
    public static string Fault(Exception exception) => CommandLine.OneLine(exception.Message)
        .Replace(", or raise maxPixels if you trust the file", "", StringComparison.Ordinal);
}
