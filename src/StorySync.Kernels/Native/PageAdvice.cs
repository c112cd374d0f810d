using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Tells the operating system what becomes of a mapped file's pages (<c>madvise</c>).</summary>
internal static unsafe partial class PageAdvice
{
    private const int DontNeed = 4;

    /// <summary>Lets the operating system have the pages of a tensor in a mapped file; nothing is done on other systems than Linux. The
    /// tensor stays valid: reading it again reads the file.</summary>
    /// <param name="view">A view of a mapped file, and of nothing else.</param>
    public static void Release(Tensor view)
    {
        var bytes = view.numel() * view.ElementSize;
        if (!OperatingSystem.IsLinux() || !TensorMemory.IsAvailable)
        {
            return;
        }

        // Pages that it shares with its neighbors stay.
        nint size = Environment.SystemPageSize;
        var start = Address(view);
        var first = (start + size - 1) / size * size;
        var end = (start + (nint)bytes) / size * size;
        if (end > first)
        {
            _ = Advise(first, (nuint)(end - first), DontNeed);
        }
    }

    /// <summary>Gets the address of a tensor's first element; 0 where it cannot be known.</summary>
    public static nint Address(Tensor view) => TensorMemory.IsAvailable ? (nint)TensorMemory.Address(view) : 0;

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
