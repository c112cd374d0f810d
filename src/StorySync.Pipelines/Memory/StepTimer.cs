using StorySync.Diffusion.Denoising;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Measures one step of a run, and ends the run then.</summary>
internal sealed class StepTimer : IStepEntry
{
    private readonly TimeProvider clock;
    private long begun;

    private StepTimer(TimeProvider clock) => this.clock = clock;

    /// <summary>Gets the step that was measured last.</summary>
    public int Step { get; private set; }

    private TimeSpan Elapsed { get; set; }

    /// <summary>Measures a step and plans by it.</summary>
    /// <param name="clock">The clock.</param>
    /// <param name="scenes">How many scenes the time is for.</param>
    /// <param name="batches">The images of each batch.</param>
    /// <param name="largest">Makes the largest batch, with the request that it is given changed by the function.</param>
    public static TimePlan Plan(
        TimeProvider clock, int scenes, IReadOnlyList<int> batches,
        Func<Func<GenerationRequest?, GenerationRequest>, StoryGeneration> largest)
    {
        var timer = new StepTimer(clock);
        var batch = largest(request => (request ?? new()) with { OnStep = timer.OnStep, PreviewInterval = 0 });
        try
        {
            batch.Run(timer).Dispose();
        }
        catch (MeasuredException)
        {
            // The run has done what it was for.
        }

        return new TimePlan
        {
            Step = timer.Elapsed,
            StepRows = batch.RowsOf(batch.Images).ElementAt(timer.Step),
            Rows = batches.Sum(images => batch.RowsOf(images).Sum()),
            Scenes = scenes,
        };
    }

    public Tensor Enter(int step, bool isBase, Tensor latents)
    {
        if (!isBase)
        {
            begun = clock.GetTimestamp();
        }

        return latents;
    }

    private void OnStep(DenoisingStep step)
    {
        // A device is still at work when its step has been asked for; the numbers have to be there.
        using (step.Latents.cpu())
        {
            (Step, Elapsed) = (step.Index, clock.GetElapsedTime(begun));
        }

        if (step.Index == Math.Min(1, step.Count - 1))
        {
            throw new MeasuredException();
        }
    }

    private sealed class MeasuredException : Exception;
}
