using System.Numerics;
using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements Euler's method for flow matching models, arXiv 2403.03206 (diffusers'
/// <c>FlowMatchEulerDiscreteScheduler</c>). Injects noise only when the config asks for stochastic sampling.</summary>
public sealed class FlowMatchEulerDiscreteScheduler : Scheduler
{
    private readonly FlowMatchEulerDiscreteSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="FlowMatchEulerDiscreteScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public FlowMatchEulerDiscreteScheduler(FlowMatchEulerDiscreteSchedulerConfig config)
        : base(config)
    {
        this.config = config;
        SigmaSpacing.RequireAtMostOne(config);
        TimeShift.Validate(config);
    }

    /// <inheritdoc/>
    public override string PredictionType => "flow_prediction";

    /// <inheritdoc/>
    public override bool UsesFlowSigmas => true;

    /// <summary>Returns the mu that the config gives an image, for <see cref="ScheduleOptions.Mu"/>: linear in its size (diffusers'
    /// <c>calculate_shift</c>).</summary>
    /// <param name="imageTokens">The number of image tokens.</param>
    public double CalculateShift(int imageTokens) => TimeShift.MuOf(config, imageTokens);

    private protected override bool TakesTimesteps => true;

    private protected override bool TakesSigmas => true;

    // FLUX gives a mu whatever the config says; without dynamic shifting it has no effect.
    private protected override bool TakesMu => true;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        // numpy computes given values in float32, its own in float64.
        var sigmas = options.Sigmas is { } given ? Shifted<float>([.. given.Select(s => (float)s)], options.Mu)
            : options.Timesteps is { } own ? Shifted<float>([.. own.Select(t => (float)t / TrainTimesteps)], options.Mu)
            : Shifted<double>([.. Spread(options.Steps!.Value)], options.Mu);
        if (config.InvertSigmas)
        {
            sigmas = [.. sigmas.Select(s => 1 - s)];
        }

        float[] timesteps = options.Timesteps is { } kept && !config.InvertSigmas
            ? [.. kept.Select(t => (float)t)]
            : [.. sigmas.Select(s => s * TrainTimesteps)];
        if (timesteps.Length != sigmas.Length || sigmas.Length != (options.Steps ?? sigmas.Length))
        {
            throw new ArgumentException("The numbers of steps, sigmas and timesteps that are given differ.", nameof(options));
        }

        float[] all = [.. sigmas, config.InvertSigmas ? 1 : 0];
        return new SchedulePlan(this, sigmas.Length, timesteps, all, NoiseLevel.OfFlow(all));
    }

    internal override double? MuOf(int imageTokens) => CalculateShift(imageTokens);

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    /// <summary>Even steps between the ends of the training table, which is shifted already: diffusers shifts twice.</summary>
    private IEnumerable<double> Spread(int steps)
    {
        return NumPy.LinSpace(End(TrainTimesteps), End(1), steps).Select(t => t / TrainTimesteps);

        double End(int timestep)
        {
            var sigma = (float)timestep / TrainTimesteps;
            return (double)(config.UseDynamicShifting ? sigma : TimeShift.ByFactor(sigma, config.Shift)) * TrainTimesteps;
        }
    }

    private float[] Shifted<T>(T[] sigmas, double? mu)
        where T : IFloatingPoint<T>
    {
        T[] shifted = config.UseDynamicShifting
            ? [.. sigmas.Select(s => TimeShift.ByMu(s, TimeShift.RequireMu(mu), config.TimeShiftType))]
            : [.. sigmas.Select(s => TimeShift.ByFactor(s, config.Shift))];
        if (config.ShiftTerminal is { } terminal and not 0)
        {
            TimeShift.StretchTo<T>(shifted, terminal);
        }

        if (!SigmaSpacing.IsChosen(config))
        {
            return [.. shifted.Select(float.CreateChecked)];
        }

        var (max, min) = (double.CreateChecked(shifted[0]), double.CreateChecked(shifted[^1]));
        return [.. SigmaSpacing.Spread(config, max, min, shifted.Length).Select(s => (float)s)];
    }

    private sealed class Solver(FlowMatchEulerDiscreteSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var (sigma, next) = (Plan.Sigmas[Index], Plan.Sigmas[Index + 1]);
            sample = sample.to(float32);
            var previous = config.StochasticSampling
                ? (sample - modelOutput.Times(sigma)).Times(1 - next).Plus(DrawNoise(sample).Times(next))
                : sample.Plus(modelOutput.Times(next - sigma));
            return new SchedulerOutput(previous.to(modelOutput.dtype), sample.Plus(modelOutput.Times(Plan.Sigmas[^1] - sigma)));
        }
    }
}
