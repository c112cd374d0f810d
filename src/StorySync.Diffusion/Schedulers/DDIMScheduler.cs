using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements denoising diffusion implicit models, equation 12 of arXiv 2010.02502 (diffusers' <c>DDIMScheduler</c>).
/// Injects noise when the run's eta is above 0.</summary>
public sealed class DDIMScheduler : DiffusionScheduler
{
    private readonly DDIMSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="DDIMScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config has a value that is not supported.</exception>
    public DDIMScheduler(DDIMSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr) => this.config = config;

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool LimitsOriginal => config.ClipSample || config.Thresholding;

    private protected override SchedulePlan Plan(ScheduleOptions options) =>
        PlanAt(options.Steps!.Value, TimestepSpacing.SpreadRounded(config, options.Steps.Value));

    internal override SchedulerRun Start(SolverStart start) => new Solver(this, start);

    private sealed class Solver(DDIMScheduler scheduler, SolverStart start) : SchedulerRun(start)
    {
        private readonly DDIMSchedulerConfig config = scheduler.config;

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var alphas = scheduler.AlphasCumprod;
            var before = (int)Timestep - scheduler.TrainTimesteps / Plan.Steps;
            var alpha = alphas[(int)Timestep];
            var alphaBefore = before >= 0 ? alphas[before] : config.SetAlphaToOne ? 1 : alphas[0];
            var deviation = Eta * TorchMath.Sqrt((1 - alphaBefore) / (1 - alpha) * (1 - alpha / alphaBefore));

            var original = Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));
            var epsilon = Prediction.Epsilon(config.PredictionType, modelOutput, sample, Plan.Level(Index));
            original = SampleClipping.Apply(original, config);

            var previous = original.Times(TorchMath.Sqrt(alphaBefore))
                .Plus(epsilon.Times(TorchMath.Sqrt(1 - alphaBefore - deviation * deviation)));
            return new SchedulerOutput(Eta > 0 ? previous.Plus(DrawNoise(modelOutput).Times(deviation)) : previous, original);
        }
    }
}
