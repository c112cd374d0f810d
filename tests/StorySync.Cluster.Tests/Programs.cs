namespace StorySync.Cluster.Tests;

/// <summary>Programs that a machine may have.</summary>
internal static class Programs
{
    public static bool Has(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, name)));
}
