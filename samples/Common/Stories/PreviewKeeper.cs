using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>A preview of a scene.</summary>
/// <param name="Scene">The scene, from 0.</param>
/// <param name="Step">The step of its batch, from 1.</param>
/// <param name="Image">What is expected then.</param>
internal sealed record ScenePreview(int Scene, int Step, RgbImage Image);

/// <summary>Keeps the previews of all batches, and hands on all reports.</summary>
internal sealed class PreviewKeeper(IProgress<GenerationProgress> next) : IProgress<GenerationProgress>
{
    private readonly List<ScenePreview> kept = [];
    private int first;
    private int begun;
    private int inBatch;

    /// <summary>Gets the previews.</summary>
    public IReadOnlyList<ScenePreview> Previews => kept;

    public void Report(GenerationProgress value)
    {
        next.Report(value);
        if (value.Stage == GenerationStage.Encoding)
        {
            // A batch begins, after that of the scenes before.
            (first, begun, inBatch) = (first + inBatch, value.Step, 0);
        }
        else if (value.Previews is { } previews)
        {
            inBatch = previews.Count;
            kept.AddRange(previews.Select((image, i) => new ScenePreview(first + i, value.Step - begun, image)));
        }
    }
}
