using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>The config of <see cref="DDPMScheduler"/>.</summary>
public sealed record DDPMSchedulerConfig : DiffusionSchedulerConfig
{
    /// <summary>Sets the defaults in which this scheduler differs from the others.</summary>
    public DDPMSchedulerConfig() => TimestepSpacing = "leading";

    /// <summary>Gets what the model predicts.</summary>
    [AllowedValues("epsilon", "sample", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets the variance of the injected noise. The <c>learned</c> ones take a second half of the model's channels for
    /// it.</summary>
    [AllowedValues("fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range")]
    public string VarianceType { get; init; } = "fixed_small";

    /// <summary>Gets a value indicating whether predicted clean samples are clamped to ±<see cref="ClipSampleRange"/>.</summary>
    public bool ClipSample { get; init; } = true;

    /// <summary>Gets the range that <see cref="ClipSample"/> clamps to.</summary>
    [Range(1e-6, 1e6)]
    public double ClipSampleRange { get; init; } = 1;

    /// <summary>Dynamic thresholding (arXiv 2205.11487) in place of <see cref="ClipSample"/>.</summary>
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

    internal bool LearnsVariance => VarianceType is "learned" or "learned_range";
}
