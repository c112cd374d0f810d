using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the entries that are common to the multistep solvers.</summary>
public abstract record MultistepSchedulerConfig : DiffusionSchedulerConfig, ISigmaSpacing, IDynamicShift
{
    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "sample", "v_prediction", "flow_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether dynamic thresholding is applied (arXiv 2205.11487).</summary>
    public bool Thresholding { get; init; }

    /// <summary>Gets the quantile of dynamic thresholding.</summary>
    [Range(0.0, 1.0)]
    public double DynamicThresholdingRatio { get; init; } = 0.995;

    /// <summary>Gets the largest threshold of dynamic thresholding.</summary>
    [Range(1e-6, 1e6)]
    public double SampleMaxValue { get; init; } = 1;

    /// <summary>Gets a value indicating whether sigmas have Karras et al.'s spacing.</summary>
    public bool UseKarrasSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are evenly spaced in their logarithm.</summary>
    public bool UseExponentialSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are spaced by a beta distribution.</summary>
    public bool UseBetaSigmas { get; init; }

    /// <summary>Gets the sigmas of flow matching.</summary>
    public bool UseFlowSigmas { get; init; }

    /// <summary>Gets the time shift of flow matching.</summary>
    [Range(1e-6, 1e6)]
    public double FlowShift { get; init; } = 1;

    /// <summary>Gets the sigma that the last step ends at.</summary>
    [AllowedValues("zero", "sigma_min")]
    public string FinalSigmasType { get; init; } = "zero";

    /// <summary>Gets a value indicating whether the betas are rescaled so that the last noise level has no signal (arXiv
    /// 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }

    /// <summary>Gets a value indicating whether the plan's mu takes the place of <see cref="FlowShift"/>.</summary>
    public bool UseDynamicShifting { get; init; }

    /// <summary>Gets the mu at <see cref="BaseImageSeqLen"/> image tokens.</summary>
    [Range(-100.0, 100.0)]
    public double BaseShift { get; init; } = 0.5;

    /// <summary>Gets the mu at <see cref="MaxImageSeqLen"/> image tokens.</summary>
    [Range(-100.0, 100.0)]
    public double MaxShift { get; init; } = 1.15;

    /// <summary>Gets the smaller of the two image sizes between which mu is interpolated, in tokens.</summary>
    [Range(1, 1 << 24)]
    public int BaseImageSeqLen { get; init; } = 256;

    /// <summary>Gets the larger of the two image sizes between which mu is interpolated, in tokens.</summary>
    [Range(1, 1 << 24)]
    public int MaxImageSeqLen { get; init; } = 4096;
}
