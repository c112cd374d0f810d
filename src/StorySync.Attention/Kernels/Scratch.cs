namespace StorySync.Attention.Kernels;

/// <summary>Memory that a thread computes in.</summary>
internal static unsafe class Scratch
{
    private const int CacheLine = 64;

    [ThreadStatic]
    private static float[]? memory;

    /// <summary>The thread's memory, aligned to cache lines, with anything in it; the next call on the same thread hands out the same.</summary>
    public static float* Floats(int count)
    {
        const int Margin = CacheLine / sizeof(float);
        if (memory is null || memory.Length < count + Margin)
        {
            memory = GC.AllocateUninitializedArray<float>(count + Margin, pinned: true);
        }

        fixed (float* start = memory)
        {
            return (float*)(((nint)start + CacheLine - 1) / CacheLine * CacheLine);
        }
    }
}
