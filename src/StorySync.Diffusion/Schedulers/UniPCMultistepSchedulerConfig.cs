using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>The config of <see cref="UniPCMultistepScheduler"/>.</summary>
public sealed record UniPCMultistepSchedulerConfig : DiffusionSchedulerConfig, ISigmaSpacing
{
    /// <summary>The order of the predictor; the corrector's is one higher. 2 for guided sampling.</summary>
    [Range(1, 8)]
    public int SolverOrder { get; init; } = 2;

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

    /// <summary>Whether the solver works on the predicted clean sample, or on the predicted noise.</summary>
    public bool PredictX0 { get; init; } = true;

    /// <summary>The function B(h) of the paper. The solver types of other schedulers stand for <c>bh2</c>.</summary>
    [AllowedValues("bh1", "bh2", "midpoint", "heun", "logrho")]
    public string SolverType { get; init; } = "bh2";

    /// <summary>Whether the last steps are of lower order.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <summary>The steps, counted from 0, whose result is not corrected.</summary>
    public IReadOnlyList<int> DisableCorrector { get; init; } = [];

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

    /// <summary>How mu shifts.</summary>
    [AllowedValues("exponential", "linear")]
    public string TimeShiftType { get; init; } = "exponential";

    /// <summary>The lowest sigma of Karras, exponential and beta spacing; by default that of training.</summary>
    public double? SigmaMin { get; init; }

    /// <summary>The highest sigma of Karras, exponential and beta spacing; by default that of training.</summary>
    public double? SigmaMax { get; init; }

    /// <summary>With flow sigmas, what the lowest one is stretched to.</summary>
    public double? ShiftTerminal { get; init; }
}
