using System.Diagnostics;

namespace StorySync.TestSupport;

/// <summary>Runs explicit tests of this assembly in processes of their own.</summary>
public static class OwnProcess
{
    /// <summary>Runs a test and returns whether it passed.</summary>
    /// <param name="method">The full name of the test.</param>
    /// <param name="environment">Variables of the process, in addition to this one's.</param>
    /// <param name="output">What it wrote.</param>
    public static bool Run(string method, IReadOnlyDictionary<string, string> environment, out string output)
    {
        var start =
            new ProcessStartInfo(Environment.ProcessPath!, ["-method", method, "-explicit", "only"]) { RedirectStandardOutput = true };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 && !output.Contains("Total: 0", StringComparison.Ordinal);
    }
}
