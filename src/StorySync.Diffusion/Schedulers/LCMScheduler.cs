using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements multistep sampling of latent consistency models, arXiv 2310.04378 (diffusers' <c>LCMScheduler</c>).
/// Injects noise in every step but the last.</summary>
public sealed class LCMScheduler : DiffusionScheduler
{
    private readonly LCMSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="LCMScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public LCMScheduler(LCMSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr)
    {
        this.config = config;
        CheckDistilledSteps(config.OriginalInferenceSteps);
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool LimitsOriginal => config.ClipSample || config.Thresholding;

    private protected override bool TakesTimesteps => true;

    private protected override SchedulePlan Plan(ScheduleOptions options) => PlanDistilled(options, config.OriginalInferenceSteps);

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private sealed class Solver(LCMSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            // The boundary condition of consistency models: at timestep 0 the sample itself.
            const float DataVariance = 0.25f;
            var scaled = Timestep * (float)config.TimestepScaling;
            var skip = DataVariance / (scaled * scaled + DataVariance);
            var direct = scaled / TorchMath.Sqrt(scaled * scaled + DataVariance);

            var original = Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));
            original = SampleClipping.Apply(original, config);
            var denoised = original.Times(direct).Plus(sample.Times(skip));
            if (Index == Plan.Timesteps.Length - 1)
            {
                return new SchedulerOutput(denoised, denoised.alias());
            }

            var next = Plan.Level(Index + 1);
            return new SchedulerOutput(denoised.Times(next.Signal).Plus(DrawNoise(denoised).Times(next.Noise)), denoised);
        }
    }
}
