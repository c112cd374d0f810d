namespace StorySync.Kernels;

/// <summary>Provides memory that a thread computes in.</summary>
internal static unsafe class Scratch
{
    private const int CacheLine = 64;

    [ThreadStatic]
    private static Memory? own;

    [ThreadStatic]
    private static Memory? team;

    /// <summary>Gets the thread's memory, aligned to cache lines, with undefined contents; the next call on the same thread returns the
    /// same.</summary>
    public static float* Floats(int count) => (own ??= new Memory()).Floats(count);

    /// <summary>Gets memory of a thread that leads others, in the same way, for what they all read.</summary>
    public static float* ForTeam(int count) => (team ??= new Memory()).Floats(count);

    /// <summary>Fails if the thread has written beyond its memory: see <see cref="MemoryGuard"/>.</summary>
    public static void Verify()
    {
        own?.Verify();
        team?.Verify();
    }

    private sealed class Memory
    {
        private float[] memory = [];
        private GuardedMemory? guard;

        public float* Floats(int count)
        {
            const int Alignment = CacheLine / sizeof(float);
            var room = Alignment + (MemoryGuard.IsOn ? 2 * MemoryGuard.Margin : 0);
            if (memory.Length < count + room)
            {
                memory = GC.AllocateUninitializedArray<float>(count + room, pinned: true);
            }

            fixed (float* first = memory)
            {
                var start = (float*)(((nint)first + CacheLine - 1) / CacheLine * CacheLine);
                return MemoryGuard.IsOn ? Guard(start + MemoryGuard.Margin, count) : start;
            }
        }

        public void Verify() => guard?.Verify();

        private float* Guard(float* start, int count)
        {
            guard?.Dispose();
            new Span<float>(start, count).Fill(float.NaN);
            MemoryGuard.PlaceCanaries(start, count);
            guard = MemoryGuard.Allow(start, (nint)count * sizeof(float), canWrite: true, hasCanaries: true);
            return start;
        }
    }
}
