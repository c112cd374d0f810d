using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="TCDScheduler"/>.</summary>
public sealed record TCDSchedulerConfig : DiffusionSchedulerConfig
{
    /// <summary>Initializes a new instance of the <see cref="TCDSchedulerConfig"/> class with the defaults in which this scheduler differs
    /// from the others.</summary>
    public TCDSchedulerConfig() => (BetaStart, BetaEnd, BetaSchedule, TimestepSpacing) = (0.00085, 0.012, "scaled_linear", "leading");

    /// <summary>Gets the number of steps of the distillation, from which the steps are picked.</summary>
    [Range(1, 1_000_000)]
    public int OriginalInferenceSteps { get; init; } = 50;

    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "sample", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether the betas are rescaled so that the last noise level has no signal (arXiv
    /// 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }
}
