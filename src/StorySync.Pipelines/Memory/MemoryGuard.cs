using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Refuses a generation that cannot fit into the memory there is, before anything of it is allocated.</summary>
internal static class MemoryGuard
{
    /// <exception cref="InsufficientMemoryException">The generation does not fit.</exception>
    public static void Check(DiffusionPipeline pipeline, MemoryCase asked)
    {
        var needed = MemoryPlanner.PeakBytes(pipeline, asked);
        if (AvailableMemory.Of(pipeline.Device) is { } there && needed > there)
        {
            var advice = MemoryPlanner.Plan(pipeline, asked).Advice;
            throw new InsufficientMemoryException(
                $"{(asked.Images == 1 ? "1 image" : $"{asked.Images} images")} of {asked.Width}×{asked.Height} "
                    + $"{(asked.Images == 1 ? "needs" : "need")} "
                + $"{ByteSize.Text(needed)} on "
                + $"{pipeline.Device}, which has {ByteSize.Text(there)} for them. "
                + (advice.Count == 0
                    ? "Generate fewer or smaller images"
                    : $"Less is needed with {string.Join("; ", advice.Select(a => $"{a.Change} ({ByteSize.Text(a.PeakBytes)})"))}")
                + $". {nameof(PipelineOptions)}.{nameof(PipelineOptions.ChecksMemory)} = false goes on regardless.");
        }
    }
}
