namespace StorySync.Kernels;

/// <summary>A range that kernels may access: see <see cref="MemoryGuard"/>.</summary>
internal sealed class GuardedMemory(nint start, nint bytes, bool canWrite, bool hasCanaries) : IDisposable
{
    public nint Start => start;

    public nint Bytes => bytes;

    public bool CanWrite => canWrite;

    /// <summary>Fails if something has been written beyond the range.</summary>
    /// <exception cref="InvalidOperationException">It has.</exception>
    public void Verify()
    {
        if (hasCanaries)
        {
            MemoryGuard.Verify(this);
        }
    }

    public void Dispose() => MemoryGuard.Forbid(this);
}
