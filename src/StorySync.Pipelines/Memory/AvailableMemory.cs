using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The memory that a generation can have.</summary>
internal static class AvailableMemory
{
    private const string ControlGroup = "/sys/fs/cgroup/";

    /// <summary>Bytes that a process can have on a device, with those that it has already; null if the system does not tell.</summary>
    public static long? Of(Device device) => device.type switch
    {
        DeviceType.CPU => Host(),
        DeviceType.CUDA => Cuda(device.index),
        _ => null,
    };

    /// <summary>What is free and what this process has: a loaded model's weights are in what a plan counts. Swapped memory is not
    /// counted.</summary>
    private static long? Host()
    {
        if (!OperatingSystem.IsLinux())
        {
            // The runtime knows the limits of containers and of Windows' job objects.
            return GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        }

        var free = Free();
        return free is null ? null : Math.Min(free.Value, ContainerFree() ?? long.MaxValue) + Environment.WorkingSet;
    }

    private static long? Free() =>
        Read("/proc/meminfo")?.FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal)) is { } line
        && long.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture, out var kilobytes)
            ? kilobytes * 1024
            : null;

    /// <summary>What the container's limit leaves; pages of files that it can drop count as free.</summary>
    private static long? ContainerFree()
    {
        long? Number(string file) => Read(file) is [var text, ..] && long.TryParse(text, CultureInfo.InvariantCulture, out var number)
            ? number : null;
        var (limit, used, pages, name) = Number(ControlGroup + "memory.max") is { } max
            ? (max, Number(ControlGroup + "memory.current"), Read(ControlGroup + "memory.stat"), "inactive_file ")
            : (Number(ControlGroup + "memory/memory.limit_in_bytes"), Number(ControlGroup + "memory/memory.usage_in_bytes"),
                Read(ControlGroup + "memory/memory.stat"), "total_inactive_file ");
        var dropped = pages?.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
            && long.TryParse(line[name.Length..], CultureInfo.InvariantCulture, out var bytes) ? bytes : 0;
        return limit - used + dropped;
    }

    private static string[]? Read(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>All of the device's memory: libtorch keeps what was freed, so that what the driver calls free says little.</summary>
    private static long? Cuda(int index)
    {
        var driver = OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";
        return NativeLibrary.TryLoad(driver, out var library)
            && NativeLibrary.TryGetExport(library, "cuDeviceGet", out var get)
            && NativeLibrary.TryGetExport(library, "cuDeviceTotalMem_v2", out var total)
            && Marshal.GetDelegateForFunctionPointer<DeviceGet>(get)(out var device, Math.Max(index, 0)) == 0
            && Marshal.GetDelegateForFunctionPointer<DeviceTotalMemory>(total)(out var bytes, device) == 0
            ? checked((long)bytes)
            : null;
    }

    private delegate int DeviceGet(out int device, int ordinal);

    private delegate int DeviceTotalMemory(out nuint bytes, int device);
}
