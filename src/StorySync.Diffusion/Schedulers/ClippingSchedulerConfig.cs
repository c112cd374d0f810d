using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the entries that are common to schedulers that predict a clean sample in each step and can clip it.</summary>
public abstract record ClippingSchedulerConfig : DiffusionSchedulerConfig
{
    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "sample", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets a value indicating whether predicted clean samples are clamped to ±<see cref="ClipSampleRange"/>.</summary>
    public bool ClipSample { get; init; } = true;

    /// <summary>Gets the range that <see cref="ClipSample"/> clamps to.</summary>
    [Range(1e-6, 1e6)]
    public double ClipSampleRange { get; init; } = 1;

    /// <summary>Gets a value indicating whether dynamic thresholding is applied (arXiv 2205.11487) in place of <see
    /// cref="ClipSample"/>.</summary>
    public bool Thresholding { get; init; }

    /// <summary>Gets the quantile of dynamic thresholding.</summary>
    [Range(0.0, 1.0)]
    public double DynamicThresholdingRatio { get; init; } = 0.995;

    /// <summary>Gets the largest threshold of dynamic thresholding.</summary>
    [Range(1e-6, 1e6)]
    public double SampleMaxValue { get; init; } = 1;

    /// <summary>Gets a value indicating whether the betas are rescaled so that the last noise level has no signal (arXiv
    /// 2305.08891).</summary>
    public bool RescaleBetasZeroSnr { get; init; }
}
