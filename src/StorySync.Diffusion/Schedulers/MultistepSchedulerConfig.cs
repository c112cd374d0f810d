using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>What the configs of the multistep solvers share.</summary>
public abstract record MultistepSchedulerConfig : DiffusionSchedulerConfig, ISigmaSpacing
{
    /// <summary>What the model predicts.</summary>
    [AllowedValues("epsilon", "sample", "v_prediction", "flow_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Dynamic thresholding (arXiv 2205.11487).</summary>
    public bool Thresholding { get; init; }

    /// <summary>The quantile of dynamic thresholding.</summary>
    [Range(0.0, 1.0)]
    public double DynamicThresholdingRatio { get; init; } = 0.995;

    /// <summary>The largest threshold of dynamic thresholding.</summary>
    public double SampleMaxValue { get; init; } = 1;

    /// <summary>Karras et al.'s spacing of sigmas.</summary>
    public bool UseKarrasSigmas { get; init; }

    /// <summary>Sigmas evenly spaced in their logarithm.</summary>
    public bool UseExponentialSigmas { get; init; }

    /// <summary>Sigmas spaced by a beta distribution.</summary>
    public bool UseBetaSigmas { get; init; }

    /// <summary>The sigmas of flow matching.</summary>
    public bool UseFlowSigmas { get; init; }

    /// <summary>The time shift of flow matching.</summary>
    public double FlowShift { get; init; } = 1;

    /// <summary>The sigma that the last step ends at.</summary>
    [AllowedValues("zero", "sigma_min")]
    public string FinalSigmasType { get; init; } = "zero";

    /// <summary>Whether the betas are rescaled so that the last noise level has no signal (arXiv 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }

    /// <summary>Whether the plan's mu takes the place of <see cref="FlowShift"/>.</summary>
    public bool UseDynamicShifting { get; init; }
}
