using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace StorySync.TestSupport;

/// <summary>The memory of this process that is in RAM, as Linux counts it. A test that asks for it is skipped on other systems.</summary>
public static class ResidentMemory
{
    private const int MostRounds = 20;
    private const int Pause = 100;
    private const long Settlement = 1 << 20;

    /// <summary>Bytes in RAM now, after everything that was freed has gone back to the system.</summary>
    public static long Settled()
    {
        SkipUnlessGlibc();

        // The collector gives memory back little by little.
        var (before, now) = (long.MaxValue, Collected());
        for (var i = 0; i < MostRounds && before - now > Settlement; i++)
        {
            Thread.Sleep(Pause);
            (before, now) = (now, Collected());
        }

        return now;
    }

    /// <summary>Begins to watch the most bytes in RAM anew.</summary>
    /// <returns>Bytes in RAM now.</returns>
    public static long StartWatch()
    {
        var now = Settled();
        File.WriteAllText("/proc/self/clear_refs", "5");
        return now;
    }

    /// <summary>The most bytes in RAM at one time since <see cref="StartWatch"/>.</summary>
    public static long Peak => Field("VmHWM:");

    /// <summary>Runs an explicit test of this assembly in another process, in which the C library gives every larger block back as soon as
    /// it is freed, and fails with its output if it fails.</summary>
    /// <param name="method">The full name of the test.</param>
    public static void AssertInOwnProcess(string method)
    {
        SkipUnlessGlibc();
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["-method", method, "-explicit", "only"]) { RedirectStandardOutput = true };
        start.Environment["MALLOC_MMAP_THRESHOLD_"] = "65536";
        start.Environment["MALLOC_TRIM_THRESHOLD_"] = "65536";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0 && !output.Contains("Total: 0", StringComparison.Ordinal), output);
    }

    private static long Collected()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _ = Trim(0);
        return Field("VmRSS:");
    }

    private static void SkipUnlessGlibc()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Memory is read from /proc, which Linux alone has.");
        Assert.SkipUnless(File.Exists("/lib64/ld-linux-x86-64.so.2"), "The C library is not glibc for x64.");
    }

    private static long Field(string name) => long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith(name, StringComparison.Ordinal))
            .Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture) * 1024;

    [DllImport("libc", EntryPoint = "malloc_trim")]
    private static extern int Trim(nuint pad);
}
