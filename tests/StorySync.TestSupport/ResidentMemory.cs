using System.Globalization;
using System.Runtime.InteropServices;

namespace StorySync.TestSupport;

/// <summary>The memory of this process, as Linux and its C library count it. A test that asks for it is skipped on other systems.</summary>
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

    /// <summary>Bytes that native code has allocated and not freed, as the C library counts them: what other processes do, and what the
    /// system keeps in RAM, does not show in it.</summary>
    public static long Allocated()
    {
        SkipUnlessGlibc();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        try
        {
            var info = MallocInfo();
            return (long)(info.InUse + info.Mapped);
        }
        catch (EntryPointNotFoundException)
        {
            Assert.Skip("The C library is older than glibc 2.33.");
            throw;
        }
    }

    /// <summary>Bytes of a mapped file that are in RAM.</summary>
    public static long OfFile(string path)
    {
        SkipUnlessGlibc();
        var (inside, bytes) = (false, 0L);
        foreach (var line in File.ReadLines("/proc/self/smaps"))
        {
            // A range of addresses opens a mapping, the lines of its properties follow.
            if (line.Split(' ', 2)[0].Contains('-', StringComparison.Ordinal))
            {
                inside = line.EndsWith(path, StringComparison.Ordinal) || line.EndsWith(path + " (deleted)", StringComparison.Ordinal);
            }
            else if (inside && line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                bytes += Kilobytes(line) * 1024;
            }
        }

        return bytes;
    }

    /// <summary>Begins to watch the most bytes in RAM.</summary>
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
    /// it is freed, and fails with its output if it fails. Because a system under load can make a process larger for a while, a failure
    /// counts when it comes twice.</summary>
    /// <param name="method">The full name of the test.</param>
    public static void AssertInOwnProcess(string method)
    {
        SkipUnlessGlibc();
        if (!RunInOwnProcess(method, out _))
        {
            Assert.True(RunInOwnProcess(method, out var output), output);
        }
    }

    private static bool RunInOwnProcess(string method, out string output) => OwnProcess.Run(
        method,
        new Dictionary<string, string> { ["MALLOC_MMAP_THRESHOLD_"] = "65536", ["MALLOC_TRIM_THRESHOLD_"] = "65536" },
        out output);

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

    private static long Field(string name) =>
        Kilobytes(File.ReadLines("/proc/self/status").First(line => line.StartsWith(name, StringComparison.Ordinal))) * 1024;

    private static long Kilobytes(string line) =>
        long.Parse(line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    [DllImport("libc", EntryPoint = "malloc_trim")]
    private static extern int Trim(nuint pad);

    [DllImport("libc", EntryPoint = "mallinfo2")]
    private static extern MallocCounts MallocInfo();

    /// <summary>glibc's <c>struct mallinfo2</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct MallocCounts(
        nuint Arena, nuint FreeBlocks, nuint FastBlocks, nuint MappedBlocks, nuint Mapped, nuint Most, nuint FastFree, nuint InUse,
            nuint Free, nuint Top);
}
