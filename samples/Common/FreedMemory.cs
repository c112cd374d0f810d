using System.Runtime.InteropServices;

namespace StorySync.Samples;

/// <summary>What the C library does with memory that was freed.</summary>
internal static class FreedMemory
{
    private const int MmapThreshold = -3;
    private const int LargeBlock = 64 * 1024;

    /// <summary>Makes the C library of Linux return every larger block as soon as it is freed. By default it keeps blocks of up to 32 MB,
    /// and a small model's run then holds two to three times what its tensors take.</summary>
    public static void ReturnImmediately()
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

    [DllImport("libc", EntryPoint = "mallopt")]
    private static extern int SetMalloc(int parameter, int value);
}
