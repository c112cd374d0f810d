using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Runs pieces of work on the threads that libtorch computes with.</summary>
/// <remarks>Between two operators these threads wait by spinning, and threads of .NET's own would have to share the processor with them.
/// Where libtorch has no such threads (<c>GOMP_parallel</c>, GNU's OpenMP) .NET's do the work.</remarks>
internal static unsafe class ThreadTeam
{
    private static readonly delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void> OpenMp =
        (delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void>)
            (OperatingSystem.IsLinux() ? LibTorch.Entry("GOMP_parallel") : 0);

    /// <summary>Does the pieces in any order, each once, on as many threads as libtorch has been told to use.</summary>
    /// <param name="pieces">How many pieces.</param>
    /// <param name="work">Does the piece of a number, from 0; several threads may call it simultaneously.</param>
    /// <exception cref="Exception">The first that a piece has thrown; those that had not begun are left undone.</exception>
    public static void Run(int pieces, Action<int> work)
    {
        // The team keeps its size, also where some find nothing to do: making it smaller ends threads.
        var threads = pieces > 1 ? get_num_threads() : 1;
        var job = new Job(pieces, work);
        if (threads == 1)
        {
            job.Work();
        }
        else if (OpenMp == null)
        {
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ => job.Work());
        }
        else
        {
            var handle = GCHandle.Alloc(job);
            OpenMp(&Enter, GCHandle.ToIntPtr(handle), (uint)threads, 0);
            handle.Free();
        }

        job.Failure?.Throw();
    }

    [UnmanagedCallersOnly]
    private static void Enter(nint job) => ((Job)GCHandle.FromIntPtr(job).Target!).Work();

    private sealed class Job(int pieces, Action<int> work)
    {
        private int next = -1;

        public ExceptionDispatchInfo? Failure { get; private set; }

        /// <summary>Takes pieces until there are none; throws nothing, as the native code that calls it could not bear it.</summary>
        public void Work()
        {
            try
            {
                for (int piece; Failure is null && (piece = Interlocked.Increment(ref next)) < pieces;)
                {
                    work(piece);
                    if (MemoryGuard.IsOn)
                    {
                        Scratch.Verify();
                    }
                }
            }
#pragma warning disable CA1031 // Every exception is handed on.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                Failure = ExceptionDispatchInfo.Capture(exception);
            }
        }
    }
}
