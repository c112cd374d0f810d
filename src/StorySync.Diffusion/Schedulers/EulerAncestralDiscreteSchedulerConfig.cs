using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="EulerAncestralDiscreteScheduler"/>.</summary>
public sealed record EulerAncestralDiscreteSchedulerConfig : DiffusionSchedulerConfig
{
    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether the betas are rescaled so that the last noise level has no signal (arXiv
    /// 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }
}
