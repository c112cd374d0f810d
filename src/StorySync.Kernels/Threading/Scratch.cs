namespace StorySync.Kernels;

/// <summary>Memory that a thread computes in.</summary>
internal static unsafe class Scratch
{
    private const int CacheLine = 64;

    [ThreadStatic]
    private static float[]? own;

    [ThreadStatic]
    private static float[]? team;

    /// <summary>The thread's memory, aligned to cache lines, with anything in it; the next call on the same thread hands out the same.</summary>
    public static float* Floats(int count) => Floats(ref own, count);

    /// <summary>Memory of a thread that others help, likewise, for what they all read.</summary>
    public static float* ForTeam(int count) => Floats(ref team, count);

    private static float* Floats(ref float[]? memory, int count)
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
