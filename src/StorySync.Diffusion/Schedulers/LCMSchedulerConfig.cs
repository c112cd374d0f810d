using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="LCMScheduler"/>.</summary>
public sealed record LCMSchedulerConfig : ClippingSchedulerConfig
{
    /// <summary>Initializes a new instance of the <see cref="LCMSchedulerConfig"/> class with the defaults in which this scheduler differs
    /// from the others.</summary>
    public LCMSchedulerConfig() => (BetaStart, BetaEnd, BetaSchedule, TimestepSpacing, ClipSample)
        = (0.00085, 0.012, "scaled_linear", "leading", false);

    /// <summary>Gets the number of steps of the distillation, from which the steps are picked.</summary>
    [Range(1, 1_000_000)]
    public int OriginalInferenceSteps { get; init; } = 50;

    /// <summary>Gets the factor of timesteps in the boundary condition, as in the distillation.</summary>
    [Range(1e-6, 1e6)]
    public double TimestepScaling { get; init; } = 10;
}
