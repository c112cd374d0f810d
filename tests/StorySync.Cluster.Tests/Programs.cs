namespace StorySync.Cluster.Tests;

/// <summary>Programs that a machine may have.</summary>
internal static class Programs
{
    /// <summary>Gets samples/Silo as it was built with the tests.</summary>
    public static string Silo { get; } = Path.GetFullPath(
        $"../../../../../samples/Silo/bin/{new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name}/net10.0/Silo.dll",
        AppContext.BaseDirectory);

    public static bool Has(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, name)));
}
