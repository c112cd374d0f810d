using System.Runtime.InteropServices;
using StorySync.Pipelines;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>What a denoising step costs in calls of the CUDA runtime, counted by a library that <c>eng/run-with-pytorch.sh --count</c>
/// loads before it.</summary>
internal static class TripsPart
{
    private const string Library = "STORYSYNC_CUDACOUNT";
    private const int Fewer = 10;
    private const int More = 20;

    /// <summary>Reads how often copies to the host, to the device and on it were called, waits for a stream, launches, allocations, waits
    /// for the device and for an event.</summary>
    private delegate void ReadCounts([Out] long[] counts);

    public static void Run(DeviceCheckRun run)
    {
        if (Environment.GetEnvironmentVariable(Library) is not { } path || !NativeLibrary.TryLoad(path, out var library))
        {
            run.Row("calls a step", () => $"not counted: {Library} names no library");
            return;
        }

        var read = Marshal.GetDelegateForFunctionPointer<ReadCounts>(NativeLibrary.GetExport(library, "cudacount_read"));
        foreach (var model in ((string[])["storybook", "tiny-sdxl", "tiny-flux", "tiny-kandinsky3"]).Where(run.Has))
        {
            run.Row(model, () =>
            {
                using var pipeline = run.Load(model);
                return $"plain {Each(Outcome.OfImages)}; story {Each(Outcome.OfStory)}";

                string Each(Func<DiffusionPipeline, StoryOptions, int, Outcome> make)
                {
                    Count(Fewer);
                    var few = Count(Fewer);
                    double[] each = [.. Count(More).Zip(few, (many, fewer) => (many - fewer) / (double)(More - Fewer))];
                    return DeviceCheckRun.Invariant(
                        $"{each[0]} to the host, {each[1]} to the device, {each[2]} on it, {each[3] + each[6] + each[7]} synchronizations, ")
                        + DeviceCheckRun.Invariant($"{each[4]} launches, {each[5]} allocations");

                    long[] Count(int steps)
                    {
                        var before = Read();
                        make(pipeline, Outcome.StoryOptions(model, run.Small, steps), 3);
                        return [.. Read().Zip(before, (after, earlier) => after - earlier)];
                    }
                }
            });
        }

        long[] Read()
        {
            var counts = new long[8];
            read(counts);
            return counts;
        }
    }
}
