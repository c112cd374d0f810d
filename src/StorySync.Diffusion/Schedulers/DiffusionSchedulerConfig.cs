using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the entries that are common to all schedulers whose noise levels follow from betas, that is, all but flow
/// matching.</summary>
public abstract record DiffusionSchedulerConfig : SchedulerConfig
{
    /// <summary>Gets the first beta.</summary>
    [Range(0.0, 1.0)]
    public double BetaStart { get; init; } = 0.0001;

    /// <summary>Gets the last beta.</summary>
    [Range(0.0, 1.0)]
    public double BetaEnd { get; init; } = 0.02;

    /// <summary>Gets how the betas run from first to last.</summary>
    [AllowedValues("linear", "scaled_linear", "squaredcos_cap_v2", "exp", "laplace", "sigmoid")]
    public string BetaSchedule { get; init; } = "linear";

    /// <summary>Gets the betas themselves, <see cref="SchedulerConfig.NumTrainTimesteps"/> of them, in place of
    /// <see cref="BetaSchedule"/>.</summary>
    [Range(0.0, 1.0)]
    [MaxLength(1_000_000)]
    public IReadOnlyList<double>? TrainedBetas { get; init; }

    /// <summary>Gets how the steps are spread over the training timesteps (table 2 of arXiv 2305.08891).</summary>
    [AllowedValues("linspace", "leading", "trailing")]
    public string TimestepSpacing { get; init; } = "linspace";

    /// <summary>Gets the offset that is added to the timesteps of <c>leading</c> spacing.</summary>
    [Range(0, 1_000_000)]
    public int StepsOffset { get; init; }
}
