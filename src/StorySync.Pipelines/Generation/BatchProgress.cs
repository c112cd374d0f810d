using System.Diagnostics;

namespace StorySync.Pipelines;

/// <summary>Reports the progress of batches that are made one after the other, each with the same steps, as that of all.</summary>
/// <param name="all">Receives it.</param>
internal sealed class BatchProgress(IProgress<GenerationProgress> all) : IProgress<GenerationProgress>
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private GenerationProgress? held;
    private int done;

    /// <summary>Gets or sets the number of batches.</summary>
    public int Batches { get; set; } = 1;

    public void Report(GenerationProgress value)
    {
        var isLast = done == Batches - 1;
        if (value.Stage == GenerationStage.Done && !isLast)
        {
            done++;
            held = value;
            return;
        }

        var (made, steps, elapsed) = ((done * value.Steps) + value.Step, Batches * value.Steps, clock.Elapsed);
        all.Report(new GenerationProgress
        {
            Stage = value.Stage,
            Step = made,
            Steps = steps,
            Elapsed = elapsed,
            Remaining = made == 0 ? null : elapsed / made * (steps - made),
            Previews = value.Previews,
        });
    }

    /// <summary>Leaves batches out that were counted.</summary>
    /// <param name="batches">How many.</param>
    public void Skip(int batches)
    {
        Batches -= batches;
        if (done == Batches && held is not null)
        {
            // What was taken for the end of one batch was the end of all.
            done--;
            Report(held);
        }
    }
}
