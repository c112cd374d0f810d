namespace StorySync.Benchmarks;

/// <summary>A folder that goes when the run is over.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("storysync-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
