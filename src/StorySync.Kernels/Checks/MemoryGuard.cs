using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Checks the memory accesses of kernels while the environment variable <c>STORYSYNC_CHECKED</c> is 1: what vectors load and store
/// must be in a tensor of a running kernel, or in scratch memory; and canaries surround what a kernel writes. It is for tests, and several
/// times slower.</summary>
internal static unsafe class MemoryGuard
{
    /// <summary>The number of canaries on each side, a multiple of a cache line.</summary>
    public const int Margin = 64;

    // Read by mistake, it makes the result NaN.
    private const uint Canary = 0x7fc0cafe;
    private static readonly Lock Gate = new();
    private static volatile GuardedMemory[] allowed = [];

    /// <summary>Gets a value indicating whether accesses are checked.</summary>
    public static bool IsOn { get; } = Environment.GetEnvironmentVariable("STORYSYNC_CHECKED") == "1";

    /// <summary>Allows accesses to a range until the result is disposed.</summary>
    public static GuardedMemory Allow(void* start, nint bytes, bool canWrite, bool hasCanaries = false)
    {
        var range = new GuardedMemory((nint)start, bytes, canWrite, hasCanaries);
        lock (Gate)
        {
            allowed = [.. allowed, range];
        }

        return range;
    }

    /// <summary>Creates a tensor between canaries, and allows writes to it.</summary>
    public static (Tensor Tensor, GuardedMemory Guard) Allocate(long[] shape)
    {
        var count = shape.Aggregate(1L, (product, length) => product * length);
        using var whole = empty(count + (2 * Margin));
        using var part = whole.narrow(0, Margin, count);
        var start = TensorMemory.Address(whole) + Margin;
        PlaceCanaries(start, (nint)count);
        return (part.view(shape), Allow(start, (nint)count * sizeof(float), canWrite: true, hasCanaries: true));
    }

    /// <summary>Places canaries around a range that has room for them on both sides.</summary>
    public static void PlaceCanaries(float* start, nint count)
    {
        new Span<uint>(start - Margin, Margin).Fill(Canary);
        new Span<uint>(start + count, Margin).Fill(Canary);
    }

    /// <summary>Fails unless a running kernel may access a range.</summary>
    /// <exception cref="InvalidOperationException">It may not.</exception>
    public static void Check(void* start, nint bytes, bool write)
    {
        var (first, end) = ((nint)start, (nint)start + bytes);
        foreach (var range in allowed)
        {
            if (first >= range.Start && end <= range.Start + range.Bytes && (range.CanWrite || !write))
            {
                return;
            }
        }

        if (bytes > 0)
        {
            throw new InvalidOperationException($"A kernel {(write ? "writes" : "reads")} {bytes} bytes out of bounds.");
        }
    }

    internal static void Forbid(GuardedMemory range)
    {
        lock (Gate)
        {
            allowed = [.. allowed.Where(other => !ReferenceEquals(other, range))];
        }
    }

    internal static void Verify(GuardedMemory range)
    {
        var start = (uint*)range.Start;
        var count = range.Bytes / sizeof(float);
        if (new Span<uint>(start - Margin, Margin).ContainsAnyExcept(Canary)
            || new Span<uint>(start + count, Margin).ContainsAnyExcept(Canary))
        {
            throw new InvalidOperationException($"A kernel has written beyond the bounds of {range.Bytes} bytes.");
        }
    }
}
