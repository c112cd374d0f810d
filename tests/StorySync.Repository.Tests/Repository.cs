using System.Diagnostics;
using StorySync.TestSupport;

namespace StorySync.Repository.Tests;

/// <summary>The working tree that the tests were built in.</summary>
internal static class Repository
{
    private static readonly HashSet<string> Made =
        ["bin", "obj", ".git", ".vs", ".idea", "artifacts", "TestResults", "BenchmarkDotNet.Artifacts"];

    public static string Root => ReferenceData.RepositoryRoot;

    public static string PathOf(string relative) => Path.Combine(Root, relative);

    /// <summary>The path from the root, with forward slashes.</summary>
    public static string Relative(string path) => Path.GetRelativePath(Root, path).Replace('\\', '/');

    /// <summary>The files that people wrote: what is built, logged and tracked by git's own machinery is left out.</summary>
    public static IEnumerable<string> Files(string pattern = "*", string? folder = null)
    {
        folder ??= Root;
        return Directory.EnumerateFiles(folder, pattern).Concat(
            Directory.EnumerateDirectories(folder)
                .Where(child => !Made.Contains(Path.GetFileName(child)))
                .SelectMany(child => Files(pattern, child)));
    }

    /// <summary>Runs a program in the root and gives its exit code and what it wrote.</summary>
    public static async Task<(int ExitCode, string Output)> Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The test host's own settings are not meant for the programs that it starts.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment.Remove("MSBuildSDKsPath");
        start.Environment.Remove("MSBUILD_EXE_PATH");

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output + await errors);
    }
}
