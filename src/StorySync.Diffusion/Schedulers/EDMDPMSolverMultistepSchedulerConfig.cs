using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="EDMDPMSolverMultistepScheduler"/>.</summary>
public sealed record EDMDPMSolverMultistepSchedulerConfig : EDMSchedulerConfig
{
    /// <summary>Gets the order of the solver; 2 for guided sampling.</summary>
    [Range(1, 3)]
    public int SolverOrder { get; init; } = 2;

    /// <summary>Gets a value indicating whether dynamic thresholding is applied (arXiv 2205.11487).</summary>
    public bool Thresholding { get; init; }

    /// <summary>Gets the quantile of dynamic thresholding.</summary>
    [Range(0.0, 1.0)]
    public double DynamicThresholdingRatio { get; init; } = 0.995;

    /// <summary>Gets the largest threshold of dynamic thresholding.</summary>
    [Range(1e-6, 1e6)]
    public double SampleMaxValue { get; init; } = 1;

    /// <summary>Gets the ODE or SDE that is solved, in terms of the clean sample. <c>deis</c> stands for the first.</summary>
    [AllowedValues("dpmsolver++", "sde-dpmsolver++", "deis")]
    public string AlgorithmType { get; init; } = "dpmsolver++";

    /// <summary>Gets the second-order solver. Those of other schedulers stand for <c>midpoint</c>.</summary>
    [AllowedValues("midpoint", "heun", "logrho", "bh1", "bh2")]
    public string SolverType { get; init; } = "midpoint";

    /// <summary>Gets a value indicating whether the last steps are of lower order when there are fewer than 15.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <summary>Gets a value indicating whether the last step is Euler's in any case.</summary>
    public bool EulerAtFinal { get; init; }

    /// <summary>Gets the same solver's config where signal and noise keep the variance.</summary>
    internal DPMSolverMultistepSchedulerConfig Solver => new()
    {
        SolverOrder = SolverOrder,
        Thresholding = Thresholding,
        DynamicThresholdingRatio = DynamicThresholdingRatio,
        SampleMaxValue = SampleMaxValue,
        AlgorithmType = AlgorithmType,
        SolverType = SolverType,
        LowerOrderFinal = LowerOrderFinal,
        EulerAtFinal = EulerAtFinal,
        FinalSigmasType = FinalSigmasType,
    };
}
