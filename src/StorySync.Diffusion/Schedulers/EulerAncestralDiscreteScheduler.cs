using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements Euler's method with ancestral sampling: each step goes below the next noise level and adds noise back
/// (k-diffusion's <c>sample_euler_ancestral</c>, diffusers' <c>EulerAncestralDiscreteScheduler</c>). Draws noise in every step, even the
/// last.</summary>
public sealed class EulerAncestralDiscreteScheduler : DiffusionScheduler
{
    private readonly EulerAncestralDiscreteSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="EulerAncestralDiscreteScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config has a value that is not supported.</exception>
    public EulerAncestralDiscreteScheduler(EulerAncestralDiscreteSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr, finiteSigmas: true) => this.config = config;

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var table = TrainSigmas();
        var steps = options.Steps!.Value;
        float[] timesteps = [.. TimestepSpacing.Spread(config, steps).Select(t => (float)t)];
        return SigmaPlan.Create(this, config, steps, timesteps, [.. timesteps.Select(t => (float)NumPy.Interpolate(t, table)), 0]);
    }

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private sealed class Solver(EulerAncestralDiscreteSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var (sigma, next) = (Plan.Sigmas[Index], Plan.Sigmas[Index + 1]);
            var up = TorchMath.Sqrt(next * next * (sigma * sigma - next * next) / (sigma * sigma));
            var down = TorchMath.Sqrt(next * next - up * up);

            sample = sample.to(float32);
            var denoised = Prediction.Denoised(config.PredictionType, modelOutput, sample, sigma);
            var derivative = (sample - denoised).Over(sigma);
            var previous = sample.Plus(derivative.Times(down - sigma)).Plus(DrawNoise(modelOutput).Times(up));
            return new SchedulerOutput(previous.to(modelOutput.dtype), denoised);
        }
    }
}
