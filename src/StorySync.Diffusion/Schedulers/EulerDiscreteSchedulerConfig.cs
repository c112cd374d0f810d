using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="EulerDiscreteScheduler"/>.</summary>
public sealed record EulerDiscreteSchedulerConfig : DiffusionSchedulerConfig, ISigmaSpacing
{
    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "v_prediction", "sample", "original_sample")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether sigmas between training timesteps are interpolated, or spread evenly in their
    /// logarithm.</summary>
    [AllowedValues("linear", "log_linear")]
    public string InterpolationType { get; init; } = "linear";

    /// <summary>Gets a value indicating whether sigmas have Karras et al.'s spacing.</summary>
    public bool UseKarrasSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are evenly spaced in their logarithm.</summary>
    public bool UseExponentialSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are spaced by a beta distribution.</summary>
    public bool UseBetaSigmas { get; init; }

    /// <summary>Gets the lowest sigma of the three spacings above; by default the lowest of the chosen timesteps.</summary>
    [Range(1e-9, 1e9)]
    public double? SigmaMin { get; init; }

    /// <summary>Gets the highest sigma of the three spacings above; by default the highest of the chosen timesteps.</summary>
    [Range(1e-9, 1e9)]
    public double? SigmaMax { get; init; }

    /// <summary>Gets how timesteps are given to the model: with <c>continuous</c> and <c>v_prediction</c>, the model's timesteps are
    /// log(sigma) / 4.</summary>
    [AllowedValues("discrete", "continuous")]
    public string TimestepType { get; init; } = "discrete";

    /// <summary>Gets a value indicating whether the betas are rescaled so that the last noise level has no signal (arXiv
    /// 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }

    /// <summary>Gets the sigma that the last step ends at.</summary>
    [AllowedValues("zero", "sigma_min")]
    public string FinalSigmasType { get; init; } = "zero";

    internal bool ContinuousTimesteps => TimestepType == "continuous" && PredictionType == "v_prediction";
}
