namespace StorySync.Hub;

/// <summary>Represents how far a download has come.</summary>
public sealed record DownloadProgress
{
    /// <summary>Gets the file that came on, relative to the model's folder.</summary>
    public required string File { get; init; }

    /// <summary>Gets the number of files that are there, whole and checked.</summary>
    public required int CompletedFiles { get; init; }

    /// <summary>Gets the number of files.</summary>
    public required int Files { get; init; }

    /// <summary>Gets the bytes that are there, those of earlier downloads included.</summary>
    public required long CompletedBytes { get; init; }

    /// <summary>Gets the bytes of all files.</summary>
    public required long Bytes { get; init; }
}
