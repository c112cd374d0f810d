using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Measures what the first story costs at several lengths, variant by variant. The images are not kept.</summary>
internal sealed class LengthRun(EvaluationSettings settings, DiffusionPipeline pipeline)
{
    /// <param name="lengths">The numbers of scenes, in ascending order, so that none has the memory of a longer one before it.</param>
    /// <param name="records">The evaluation, for the plain model's image of the first scene.</param>
    /// <param name="progress">The provider that receives progress updates for each story and each step.</param>
    /// <param name="cancellationToken">Stops the run.</param>
    public IReadOnlyList<LengthRecord> Run(
        IReadOnlyList<int> lengths, IReadOnlyList<StoryRecord> records, RunProgress progress, CancellationToken cancellationToken)
    {
        FreedMemory.ReturnImmediately();
        Variant[] variants = [.. settings.Variants.Where(variant => variant is { Point: null, Damage: null })];
        progress.Begin(lengths.Count * variants.Length);
        var made = new List<LengthRecord>();
        foreach (var length in lengths)
        {
            foreach (var variant in variants)
            {
                progress.Next($"{English.Count(length, "scene")}, {variant.Name}");
                made.Add(Measure(settings.LongJob(variant, settings.Stories[0], length), records[0], progress, cancellationToken));
                progress.Done();
            }
        }

        return made;
    }

    private LengthRecord Measure(StoryJob job, StoryRecord plain, RunProgress progress, CancellationToken cancellationToken)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var memory = new PeakMemory();
        var before = memory.MiB;
        try
        {
            var drawn = Drawing.Of(
                pipeline, job, [.. job.Prompts.Select(prompt => new Scene(prompt))],
                job.AnchorsFrom == AnchorSource.Image ? RgbImage.Load(plain.Image(0)) : null, progress, cancellationToken);
            return new LengthRecord(job.Variant, job.Prompts.Count, drawn.Time.TotalSeconds, memory.MiB, memory.MiB - before);
        }
        catch (InsufficientMemoryException)
        {
            return new LengthRecord(job.Variant, job.Prompts.Count, null, null, null);
        }
    }
}

/// <summary>What a story of a length costs.</summary>
/// <param name="Variant">How it was made.</param>
/// <param name="Scenes">The number of scenes, anchors included.</param>
/// <param name="Seconds">The model's time; null where the story does not fit into the memory there is.</param>
/// <param name="PeakMiB">The most that the process held.</param>
/// <param name="GrownMiB">How much more that is than before the story.</param>
internal sealed record LengthRecord(string Variant, int Scenes, double? Seconds, double? PeakMiB, double? GrownMiB)
{
    public double? SecondsPerScene => Seconds / Scenes;
}
