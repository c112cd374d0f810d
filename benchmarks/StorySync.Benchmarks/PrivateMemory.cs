using System.Diagnostics;
using System.Globalization;

namespace StorySync.Benchmarks;

/// <summary>The memory that belongs to this process alone and that it has written to.</summary>
internal static class PrivateMemory
{
    private const string Linux = "/proc/self/smaps_rollup";

    /// <summary>In bytes. Pages of a mapped file that were only read are not in it; where the system does not tell them apart, it is
    /// all private memory.</summary>
    public static long Read()
    {
        if (File.Exists(Linux))
        {
            var line = File.ReadLines(Linux).First(line => line.StartsWith("Private_Dirty:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        }

        using var process = Process.GetCurrentProcess();
        return process.PrivateMemorySize64;
    }
}
