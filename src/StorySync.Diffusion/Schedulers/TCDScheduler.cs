using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements strategic stochastic sampling of trajectory consistency distillation, arXiv 2402.19159 (diffusers'
/// <c>TCDScheduler</c>), for Hyper-SD and TCD LoRAs. The run's eta, the paper's γ, is how much noise each step but the last
/// injects.</summary>
public sealed class TCDScheduler : DiffusionScheduler
{
    private readonly TCDSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="TCDScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public TCDScheduler(TCDSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr)
    {
        this.config = config;
        CheckDistilledSteps(config.OriginalInferenceSteps);
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override bool TakesTimesteps => true;

    private protected override SchedulePlan Plan(ScheduleOptions options) => PlanDistilled(options, config.OriginalInferenceSteps);

    internal override SchedulerRun Start(SolverStart start) => new Solver(this, start);

    private sealed class Solver(TCDScheduler scheduler, SolverStart start) : SchedulerRun(start)
    {
        private readonly double gamma = start.Eta;

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            // The step goes to a level that lies before the next one's, and then noise leads back to that.
            var isLast = Index == Plan.Timesteps.Length - 1;
            var next = isLast ? 0 : (int)Plan.Timesteps[Index + 1];
            var alpha = scheduler.AlphasCumprod[(int)MathF.Floor((float)(1 - gamma) * next)];
            var original = Prediction.OriginalSample(scheduler.PredictionType, modelOutput, sample, Plan.Level(Index));
            var epsilon = Prediction.Epsilon(scheduler.PredictionType, modelOutput, sample, Plan.Level(Index));
            var previous = original.Times(TorchMath.Sqrt(alpha)).Plus(epsilon.Times(TorchMath.Sqrt(1 - alpha)));
            if (gamma == 0 || isLast)
            {
                return new SchedulerOutput(previous, original);
            }

            var part = scheduler.AlphasCumprod[next] / alpha;
            return new SchedulerOutput(
                previous.Times(TorchMath.Sqrt(part)).Plus(DrawNoise(modelOutput).Times(TorchMath.Sqrt(1 - part))), original);
        }
    }
}
