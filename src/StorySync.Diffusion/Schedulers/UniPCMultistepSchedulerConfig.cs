using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="UniPCMultistepScheduler"/>.</summary>
public sealed record UniPCMultistepSchedulerConfig : MultistepSchedulerConfig
{
    /// <summary>Gets the order of the predictor; the corrector's is one higher. 2 for guided sampling.</summary>
    [Range(1, 8)]
    public int SolverOrder { get; init; } = 2;

    /// <summary>Gets a value indicating whether the solver works on the predicted clean sample, or on the predicted noise.</summary>
    public bool PredictX0 { get; init; } = true;

    /// <summary>Gets the function B(h) of the paper. The solver types of other schedulers stand for <c>bh2</c>.</summary>
    [AllowedValues("bh1", "bh2", "midpoint", "heun", "logrho")]
    public string SolverType { get; init; } = "bh2";

    /// <summary>Gets a value indicating whether the last steps are of lower order.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <summary>Gets the steps, counted from 0, whose result is not corrected.</summary>
    public IReadOnlyList<int> DisableCorrector { get; init; } = [];

    /// <summary>Gets how mu shifts.</summary>
    [AllowedValues("exponential", "linear")]
    public string TimeShiftType { get; init; } = "exponential";

    /// <summary>Gets the lowest sigma of Karras, exponential and beta spacing; by default that of training.</summary>
    [Range(1e-9, 1e9)]
    public double? SigmaMin { get; init; }

    /// <summary>Gets the highest sigma of Karras, exponential and beta spacing; by default that of training.</summary>
    [Range(1e-9, 1e9)]
    public double? SigmaMax { get; init; }

    /// <summary>Gets, with flow sigmas, what the lowest one is stretched to.</summary>
    [Range(0.0, 0.999)]
    public double? ShiftTerminal { get; init; }
}
