using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="HeunDiscreteScheduler"/>.</summary>
public sealed record HeunDiscreteSchedulerConfig : DiffusionSchedulerConfig, ISigmaSpacing
{
    /// <summary>Initializes a new instance of the <see cref="HeunDiscreteSchedulerConfig"/> class with the defaults in which this scheduler
    /// differs from the others.</summary>
    public HeunDiscreteSchedulerConfig() => (BetaStart, BetaEnd) = (0.00085, 0.012);

    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "v_prediction", "sample")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether sigmas have Karras et al.'s spacing.</summary>
    public bool UseKarrasSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are evenly spaced in their logarithm.</summary>
    public bool UseExponentialSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are spaced by a beta distribution.</summary>
    public bool UseBetaSigmas { get; init; }

    /// <summary>Gets a value indicating whether predicted clean samples are clamped to ±<see cref="ClipSampleRange"/>.</summary>
    public bool ClipSample { get; init; }

    /// <summary>Gets the range that <see cref="ClipSample"/> clamps to.</summary>
    [Range(1e-6, 1e6)]
    public double ClipSampleRange { get; init; } = 1;
}
