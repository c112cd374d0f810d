using System.Runtime.InteropServices;

namespace StorySync.Kernels;

/// <summary>Asks libtorch to put large tensors on large pages (<c>madvise</c> with <c>MADV_HUGEPAGE</c>), on Linux.</summary>
/// <remarks>The allocator gives a large tensor's memory back to the system when the tensor is freed, and each page of the next one costs
/// a fault when it is first written: a decoder's time was by an eighth spent there.</remarks>
internal static partial class LargePages
{
    private const string Variable = "THP_MEM_ALLOC_ENABLE";

    /// <summary>Sets the environment variable that libtorch reads when it first allocates; one that is set already is kept.</summary>
    public static void Request()
    {
        if (OperatingSystem.IsLinux())
        {
            // .NET's own Environment changes a copy that native code does not see.
            _ = SetVariable(Variable, "1", overwrite: 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
