using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>What a run is made from.</summary>
internal sealed record SolverStart(SchedulePlan Plan, NoiseSource? Noise, int BeginIndex, double Eta);

/// <summary>Represents one generation that follows a plan. It counts the model calls and keeps the state of the solver. Used by one thread
/// at a time; dispose it to free what it remembers.</summary>
/// <example>
/// <code>
/// using var run = plan.Start(noise);
/// while (!run.IsFinished)
/// {
///     var output = model.call(run.ScaleModelInput(sample), run.Timestep);
///     sample = run.Step(output, sample).PrevSample;
/// }
/// </code>
/// </example>
public abstract class SchedulerRun : IDisposable
{
    private readonly SolverStart start;

    private protected SchedulerRun(SolverStart start)
    {
        this.start = start;
        Index = start.BeginIndex;
    }

    /// <summary>Gets the plan that the run follows.</summary>
    public SchedulePlan Plan => start.Plan;

    /// <summary>Gets the model call to be made next; one past the last when the run is finished.</summary>
    public int Index { get; private set; }

    /// <summary>Gets a value indicating whether all steps are made.</summary>
    public bool IsFinished => Index == Plan.Timesteps.Length;

    /// <summary>Gets the timestep of the model call to be made next.</summary>
    public float Timestep => Plan.Timesteps[Index];

    /// <summary>Model calls made by this run so far.</summary>
    private protected int Calls => Index - start.BeginIndex;

    private protected float Eta => (float)start.Eta;

    /// <summary>Brings the sample to the variance that the model expects. The caller owns the result.</summary>
    public Tensor ScaleModelInput(Tensor sample) => Plan.ScaleModelInput(sample, Index);

    /// <summary>Makes the sample less noisy by what the model said of it, and counts the call. The arguments stay as they are.</summary>
    /// <param name="modelOutput">The model's answer (after guidance), of the sample's shape.</param>
    /// <param name="sample">The sample that the model saw, not scaled.</param>
    /// <exception cref="ArgumentException">The shapes do not fit together.</exception>
    /// <exception cref="InvalidOperationException">The run is finished, or the step injects noise and no source was given.</exception>
    public SchedulerOutput Step(Tensor modelOutput, Tensor sample)
    {
        ArgumentNullException.ThrowIfNull(modelOutput);
        ArgumentNullException.ThrowIfNull(sample);
        if (IsFinished)
        {
            throw new InvalidOperationException($"All {Plan.Timesteps.Length} model calls of the plan are made. Start another run.");
        }

        CheckShape(modelOutput, sample);
        using var scope = NewDisposeScope();
        var output = Advance(modelOutput, sample);
        Index++;
        return new SchedulerOutput(HandOut(output.PrevSample), HandOut(output.PredOriginalSample));

        // A result may be one of the arguments, which stays the caller's.
        Tensor HandOut(Tensor result) =>
            (ReferenceEquals(result, modelOutput) || ReferenceEquals(result, sample) ? result.alias() : result).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        DisposeCore();
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the run remembers.</summary>
    private protected virtual void DisposeCore()
    {
    }

    /// <summary>How many times the sample's channels (axis 1) the model gives.</summary>
    private protected virtual int OutputChannelFactor => 1;

    private protected abstract SchedulerOutput Advance(Tensor modelOutput, Tensor sample);

    private protected Tensor DrawNoise(Tensor like) => start.Noise is { } noise
        ? noise(like)
        : throw new InvalidOperationException("This scheduler injects noise in its steps: give SchedulePlan.Start a noise source.");

    private void CheckShape(Tensor modelOutput, Tensor sample)
    {
        var expected = sample.shape;
        if (OutputChannelFactor > 1)
        {
            expected[1] *= OutputChannelFactor;
        }

        if (!modelOutput.shape.SequenceEqual(expected))
        {
            throw new ArgumentException($"The model output has the shape ({string.Join(", ", modelOutput.shape)}); "
                + $"for a sample of ({string.Join(", ", sample.shape)}) it must be ({string.Join(", ", expected)}).", nameof(modelOutput));
        }
    }
}
