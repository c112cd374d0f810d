using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="PNDMScheduler"/>.</summary>
public sealed record PNDMSchedulerConfig : DiffusionSchedulerConfig
{
    /// <summary>Initializes a new instance of the <see cref="PNDMSchedulerConfig"/> class with the defaults in which this scheduler differs
    /// from the others.</summary>
    public PNDMSchedulerConfig() => TimestepSpacing = "leading";

    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether the multistep method starts by itself, without Runge-Kutta steps.</summary>
    public bool SkipPrkSteps { get; init; }

    /// <summary>Gets a value indicating whether the last step ends at the clean sample, or at the lowest noise level of training.</summary>
    public bool SetAlphaToOne { get; init; }
}
