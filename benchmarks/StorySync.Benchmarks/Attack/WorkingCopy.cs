namespace StorySync.Benchmarks.Attack;

/// <summary>A copy of a model in which files are damaged and mended again.</summary>
internal sealed class WorkingCopy : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string source;

    public WorkingCopy(string source)
    {
        this.source = source;
        foreach (var file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
        {
            var copy = PathOf(System.IO.Path.GetRelativePath(source, file));
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        Files = [.. Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories).Select(file =>
            System.IO.Path.GetRelativePath(Path, file)).Order(StringComparer.Ordinal)];
    }

    public string Path => folder.Path;

    /// <summary>Gets the names of its files.</summary>
    public IReadOnlyList<string> Files { get; }

    public string PathOf(string file) => System.IO.Path.Combine(Path, file);

    public void Mend(string file) => File.Copy(System.IO.Path.Combine(source, file), PathOf(file), overwrite: true);

    public void Dispose() => folder.Dispose();
}
