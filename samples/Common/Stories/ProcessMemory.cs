using System.Globalization;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>What the process will hold in RAM: what it holds already, with .NET and libtorch, and what the plan of a run adds.</summary>
internal static class ProcessMemory
{
    /// <summary>The bytes that the process will hold on the host during a run.</summary>
    public static long With(MemoryPlan plan) => Environment.WorkingSet + (plan.HostBytes > 0 ? plan.HostBytes : plan.PeakBytes);

    /// <summary>Says that a run does not fit into the memory of this machine, or of the container that the process is in.</summary>
    /// <returns>Null if it fits.</returns>
    public static string? Misfit(MemoryPlan plan) => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes is var there && With(plan) > there
        ? $"it needs about {Size(With(plan))}, and there are {Size(there)}"
        : null;

    public static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:f0} MB");
}
