using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements Heun's method on the probability flow ODE: algorithm 1 of arXiv 2206.00364 (diffusers'
/// <c>HeunDiscreteScheduler</c>). A step is two model calls, an Euler step and its correction; the last step is one.</summary>
public sealed class HeunDiscreteScheduler : DiffusionScheduler
{
    private readonly HeunDiscreteSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="HeunDiscreteScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public HeunDiscreteScheduler(HeunDiscreteSchedulerConfig config)
        : base(config)
    {
        this.config = config;
        SigmaSpacing.RequireAtMostOne(config);
    }

    /// <inheritdoc/>
    public override int Order => 2;

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool TakesTimesteps => !SigmaSpacing.IsChosen(config);

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var table = TrainSigmas();
        var steps = options.Timesteps?.Count ?? options.Steps!.Value;
        float[] timesteps = [.. (options.Timesteps ?? TimestepSpacing.Spread(config, steps)).Select(t => (float)t)];
        double[] sigmas = [.. timesteps.Select(t => NumPy.Interpolate(t, table))];
        if (SigmaSpacing.IsChosen(config))
        {
            double[] logTable = [.. table.Select(s => MathF.Log(s))];
            sigmas = SigmaSpacing.Spread(config, sigmas[0], sigmas[^1], steps);
            timesteps = [.. sigmas.Select(s => (float)SigmaSpacing.ToTimestep(s, logTable))];
        }

        return SigmaPlan.Create(this, config, steps, Twice(timesteps), [.. Twice([.. sigmas.Select(s => (float)s)]), 0]);
    }

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private static float[] Twice(float[] values) => [values[0], .. values.Skip(1).SelectMany(v => Enumerable.Repeat(v, 2))];

    private sealed class Solver(HeunDiscreteSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private readonly TensorHistory firstDerivative = new(1);
        private readonly TensorHistory firstSample = new(1);

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var corrects = firstDerivative.Count > 0;
            var denoised = Prediction.Denoised(config.PredictionType, modelOutput, sample, Plan.Sigmas[Index]);
            if (config.ClipSample)
            {
                denoised = SampleClipping.Clip(denoised, config.ClipSampleRange);
            }

            var derivative = (sample - denoised).Over(Plan.Sigmas[Index]);
            if (!corrects)
            {
                firstDerivative.Push(derivative);
                firstSample.Push(sample);
                return new SchedulerOutput(sample.Plus(derivative.Times(Plan.Sigmas[Index + 1] - Plan.Sigmas[Index])), denoised);
            }

            derivative = firstDerivative[0].Plus(derivative).Over(2);
            var corrected = firstSample[0].Plus(derivative.Times(Plan.Sigmas[Index] - Plan.Sigmas[Index - 1]));
            firstDerivative.Clear();
            firstSample.Clear();
            return new SchedulerOutput(corrected, denoised);
        }

        private protected override void DisposeCore()
        {
            firstDerivative.Dispose();
            firstSample.Dispose();
        }
    }
}
