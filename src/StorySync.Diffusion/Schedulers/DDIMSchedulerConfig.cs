namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="DDIMScheduler"/>.</summary>
public sealed record DDIMSchedulerConfig : ClippingSchedulerConfig
{
    /// <summary>Initializes a new instance of the <see cref="DDIMSchedulerConfig"/> class with the defaults in which this scheduler differs
    /// from the others.</summary>
    public DDIMSchedulerConfig() => TimestepSpacing = "leading";

    /// <summary>Gets a value indicating whether the last step ends at the clean sample, or at the lowest noise level of training.</summary>
    public bool SetAlphaToOne { get; init; } = true;
}
