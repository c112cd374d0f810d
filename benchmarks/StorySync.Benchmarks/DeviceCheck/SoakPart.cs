using System.Globalization;
using TorchSharp;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>Many stories one after the other: memory and tensors must not grow.</summary>
internal static class SoakPart
{
    public static void Run(DeviceCheckRun run)
    {
        using var pipeline = run.Load("storybook");
        var (options, count) = (Outcome.StoryOptions("storybook", run.Small, steps: 8), run.Small ? 3 : 40);
        Outcome? first = null;
        var tensors = 0L;
        run.Row("the first story", () =>
        {
            first = Outcome.OfStory(pipeline, options);
            return Memory(tensors = torch.Tensor.TotalCount);
        });
        run.Row($"{count} stories later", () =>
        {
            for (var i = 1; i < count && !run.IsLate; i++)
            {
                Outcome.OfStory(pipeline, options);
            }

            var last = Outcome.OfStory(pipeline, options);
            var more = torch.Tensor.TotalCount - tensors;
            return more == 0 ? $"{Memory(torch.Tensor.TotalCount)}; {last.Against(first!)}"
                : throw new InvalidOperationException($"{more} tensors are left.");
        });
    }

    private static string Memory(long tensors) => string.Create(
        CultureInfo.InvariantCulture,
            $"card {DeviceCheckRun.CardMiB()} MiB, process {Environment.WorkingSet / 1048576} MiB, {tensors} tensors");
}
