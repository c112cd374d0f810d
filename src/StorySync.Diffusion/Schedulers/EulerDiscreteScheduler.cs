using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements Euler's method on the probability flow ODE: algorithm 2 of arXiv 2206.00364 without churn (diffusers'
/// <c>EulerDiscreteScheduler</c>).</summary>
public sealed class EulerDiscreteScheduler : DiffusionScheduler
{
    private readonly EulerDiscreteSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="EulerDiscreteScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public EulerDiscreteScheduler(EulerDiscreteSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr, finiteSigmas: true)
    {
        this.config = config;
        SigmaSpacing.RequireAtMostOne(config);
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool TakesTimesteps => !SigmaSpacing.IsChosen(config) && !config.ContinuousTimesteps;

    private protected override bool TakesSigmas => true;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var table = TrainSigmas();
        double[] logTable = [.. table.Select(s => MathF.Log(s))];
        if (options.Sigmas is { } given)
        {
            float[] own = [.. given.Select(s => (float)s)];
            if (own.Length < 2)
            {
                throw new ArgumentException("Sigmas need at least two entries, the last of which is the one to end at.", nameof(options));
            }

            return Plan(own.Length - 1, own.SkipLast(1).Select(s => (float)SigmaSpacing.ToTimestep(s, logTable)), own);
        }

        var steps = options.Timesteps?.Count ?? options.Steps!.Value;
        float[] timesteps = [.. (options.Timesteps ?? TimestepSpacing.Spread(config, steps)).Select(t => (float)t)];
        double[] sigmas = config.InterpolationType == "linear"
            ? [.. timesteps.Select(t => NumPy.Interpolate(t, table))]
            : LogLinear(logTable, steps);
        if (SigmaSpacing.IsChosen(config))
        {
            sigmas = SigmaSpacing.Spread(config, config.SigmaMax ?? sigmas[0], config.SigmaMin ?? sigmas[^1], steps);
            timesteps = [.. sigmas.Select(s => (float)SigmaSpacing.ToTimestep(s, logTable))];
        }

        return Plan(steps, timesteps, [.. sigmas.Select(s => (float)s), config.FinalSigmasType == "zero" ? 0 : table[0]]);
    }

    private SchedulePlan Plan(int steps, IEnumerable<float> timesteps, float[] sigmas)
    {
        if (config.ContinuousTimesteps)
        {
            timesteps = sigmas.SkipLast(1).Select(s => 0.25f * TorchMath.Log(s));
        }

        return SigmaPlan.Create(this, config, steps, [.. timesteps], sigmas);
    }

    private static double[] LogLinear(double[] logTable, int steps)
    {
        using var scope = NewDisposeScope();
        return [.. linspace(logTable[^1], logTable[0], steps + 1, float32).exp().data<float>().Select(s => (double)s)];
    }

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private sealed class Solver(EulerDiscreteSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var (sigma, next) = (Plan.Sigmas[Index], Plan.Sigmas[Index + 1]);
            sample = sample.to(float32);
            var denoised = Prediction.Denoised(config.PredictionType, modelOutput, sample, sigma);
            var derivative = (sample - denoised).Over(sigma);
            return new SchedulerOutput(sample.Plus(derivative.Times(next - sigma)).to(modelOutput.dtype), denoised);
        }
    }
}
