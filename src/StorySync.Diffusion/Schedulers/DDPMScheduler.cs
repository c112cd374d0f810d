using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements denoising diffusion probabilistic models, equations 6 and 7 of arXiv 2006.11239 (diffusers'
/// <c>DDPMScheduler</c>). Injects noise in every step but one at timestep 0.</summary>
public sealed class DDPMScheduler : DiffusionScheduler
{
    private readonly DDPMSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="DDPMScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config has a value that is not supported.</exception>
    public DDPMScheduler(DDPMSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr) => this.config = config;

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool LimitsOriginal => config.ClipSample || config.Thresholding;

    private protected override bool TakesTimesteps => true;

    private protected override SchedulePlan Plan(ScheduleOptions options) => options.Timesteps is { } own
        ? PlanAt(own.Count, own.Select(t => Math.Truncate(t)))
        : PlanAt(options.Steps!.Value, TimestepSpacing.SpreadRounded(config, options.Steps.Value));

    internal override SchedulerRun Start(SolverStart start) => new Solver(this, start);

    private sealed class Solver(DDPMScheduler scheduler, SolverStart start) : SchedulerRun(start)
    {
        private readonly DDPMSchedulerConfig config = scheduler.config;

        private protected override int OutputChannelFactor => config.LearnsVariance ? 2 : 1;

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var alpha = scheduler.AlphasCumprod[(int)Timestep];
            var alphaBefore = Index + 1 < Plan.Timesteps.Length ? scheduler.AlphasCumprod[(int)Plan.Timesteps[Index + 1]] : 1;
            var stepAlpha = alpha / alphaBefore;
            var stepBeta = 1 - stepAlpha;

            Tensor? learned = null;
            if (config.LearnsVariance)
            {
                var halves = modelOutput.chunk(2, 1);
                (modelOutput, learned) = (halves[0], halves[1]);
            }

            var original = Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));
            original = SampleClipping.Apply(original, config);

            var mean = original.Times(TorchMath.Sqrt(alphaBefore) * stepBeta / (1 - alpha))
                .Plus(sample.Times(TorchMath.Sqrt(stepAlpha) * (1 - alphaBefore) / (1 - alpha)));
            if (Timestep <= 0)
            {
                return new SchedulerOutput(mean, original);
            }

            var noise = DrawNoise(modelOutput);
            var smallVariance = MathF.Max((1 - alphaBefore) / (1 - alpha) * stepBeta, 1e-20f);
            return new SchedulerOutput(mean.Plus(Scale(noise, smallVariance, stepBeta, learned)), original);
        }

        private Tensor Scale(Tensor noise, float smallVariance, float stepBeta, Tensor? learned) => config.VarianceType switch
        {
            "fixed_large" => noise.Times(TorchMath.Sqrt(stepBeta)),
            "learned" => learned!.sqrt() * noise,
            "learned_range" => LearnedDeviation(learned!, TorchMath.Log(smallVariance), TorchMath.Log(stepBeta)) * noise,
            _ => noise.Times(TorchMath.Sqrt(smallVariance)),
        };

        /// <summary>Equation 15 of arXiv 2102.09672.</summary>
        private static Tensor LearnedDeviation(Tensor learned, float minLog, float maxLog)
        {
            var share = learned.Plus(1).Over(2);
            return share.Times(maxLog).Plus(share.Complement().Times(minLog)).Times(0.5).exp();
        }
    }
}
