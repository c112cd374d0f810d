using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="DPMSolverMultistepScheduler"/>.</summary>
public sealed record DPMSolverMultistepSchedulerConfig : MultistepSchedulerConfig
{
    /// <summary>Gets the order of the solver; 2 for guided sampling.</summary>
    [Range(1, 3)]
    public int SolverOrder { get; init; } = 2;

    /// <summary>Gets the ODE or SDE that is solved, in terms of noise or (<c>++</c>) of the clean sample.</summary>
    [AllowedValues("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis")]
    public string AlgorithmType { get; init; } = "dpmsolver++";

    /// <summary>Gets the second-order solver. Those of other schedulers stand for <c>midpoint</c>.</summary>
    [AllowedValues("midpoint", "heun", "logrho", "bh1", "bh2")]
    public string SolverType { get; init; } = "midpoint";

    /// <summary>Gets a value indicating whether the last steps are of lower order when there are fewer than 15.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <summary>Gets a value indicating whether the last step is Euler's in any case.</summary>
    public bool EulerAtFinal { get; init; }

    /// <summary>Gets a value indicating whether sigmas are evenly spaced in their logarithm, between those of training (arXiv
    /// 2211.01095).</summary>
    public bool UseLuLambdas { get; init; }

    /// <summary>Gets the limit of clipping: training timesteps whose half log signal-to-noise ratio is below this are left out.</summary>
    [Range(double.NegativeInfinity, double.MaxValue)]
    [JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
    public double LambdaMinClipped { get; init; } = double.NegativeInfinity;

    /// <summary>Gets what the model says of its variance. The solver has no use for a learned one, which is not supported.</summary>
    [DeniedValues("learned", "learned_range")]
    public string? VarianceType { get; init; }

    /// <summary>Gets how mu shifts.</summary>
    [AllowedValues("exponential")]
    public string TimeShiftType { get; init; } = "exponential";

    internal bool PredictsOriginal => AlgorithmType is "dpmsolver++" or "sde-dpmsolver++" or "deis";

    internal bool IsStochastic => AlgorithmType is "sde-dpmsolver" or "sde-dpmsolver++";
}
