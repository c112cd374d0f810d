using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Refuses a generation that cannot fit into the memory there is, before anything of it is allocated.</summary>
internal static class MemoryGuard
{
    /// <exception cref="InsufficientMemoryException">The generation does not fit.</exception>
    public static void Check(DiffusionPipeline pipeline, MemoryQuery asked)
    {
        if (AvailableMemory.Of(pipeline.Device) is { } there && MemoryPlanner.PeakBytes(pipeline, asked) > there)
        {
            var images = asked.Images == 1 ? "1 image" : $"{asked.Images} images";
            throw Refusal(
                $"{images} of {asked.Width}×{asked.Height} {(asked.Images == 1 ? "needs" : "need")}",
                MemoryPlanner.Plan(pipeline, asked), pipeline.Device, there);
        }
    }

    /// <exception cref="InsufficientMemoryException">What the plan is for does not fit.</exception>
    public static void Check(MemoryPlan plan, Device device)
    {
        if (AvailableMemory.Of(device) is { } there && !plan.Fits(there))
        {
            throw Refusal("The images need", plan, device, there);
        }
    }

    private static InsufficientMemoryException Refusal(string needs, MemoryPlan plan, Device device, long there) => new(
        $"{needs} {ByteSize.Text(plan.PeakBytes)} on {device}, which has {ByteSize.Text(there)} for them. "
        + (plan.Advice.Count == 0
            ? "Generate fewer or smaller images"
            : $"Less is needed with {string.Join("; ", plan.Advice.Select(a => $"{a.Change} ({ByteSize.Text(a.PeakBytes)})"))}")
        + $". {nameof(PipelineOptions)}.{nameof(PipelineOptions.ChecksMemory)} = false disables this check.");
}
