using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="DDPMScheduler"/>.</summary>
public sealed record DDPMSchedulerConfig : ClippingSchedulerConfig
{
    /// <summary>Initializes a new instance of the <see cref="DDPMSchedulerConfig"/> class with the defaults in which this scheduler differs
    /// from the others.</summary>
    public DDPMSchedulerConfig() => TimestepSpacing = "leading";

    /// <summary>Gets the variance of the injected noise. The <c>learned</c> ones take a second half of the model's channels for
    /// it.</summary>
    [AllowedValues("fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range")]
    public string VarianceType { get; init; } = "fixed_small";

    internal bool LearnsVariance => VarianceType is "learned" or "learned_range";
}
