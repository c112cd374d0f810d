using System.Globalization;
using System.Runtime.InteropServices;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>What the process will hold in RAM: what it holds already, with .NET and libtorch, and what the plan of a run adds.</summary>
internal static class ProcessMemory
{
    private const int MmapThreshold = -3;
    private const int LargeBlock = 64 * 1024;

    /// <summary>Makes the C library of Linux return every larger block as soon as it is freed. By default it keeps blocks of up to 32 MB,
    /// and a
    /// small model's run then holds two to three times what its tensors take.</summary>
    public static void ReturnFreedBlocks()
    {
        if (OperatingSystem.IsLinux())
        {
            try
            {
                _ = SetMalloc(MmapThreshold, LargeBlock);
            }
            catch (EntryPointNotFoundException)
            {
                // Another C library than glibc.
            }
        }
    }

    /// <summary>The bytes that the process will hold on the host during a run.</summary>
    public static long With(MemoryPlan plan) => Environment.WorkingSet + (plan.HostBytes > 0 ? plan.HostBytes : plan.PeakBytes);

    /// <summary>Says that a run does not fit into the memory of this machine, or of the container that the process is in.</summary>
    /// <returns>Null if it fits.</returns>
    public static string? Misfit(MemoryPlan plan) => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes is var there && With(plan) > there
        ? $"it needs about {Size(With(plan))}, and there are {Size(there)}"
        : null;

    public static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:f0} MB");

    [DllImport("libc", EntryPoint = "mallopt")]
    private static extern int SetMalloc(int parameter, int value);
}
