using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the entries that are common to schedulers whose models see noise as Karras et al. do (EDM,
/// arXiv 2206.00364).</summary>
public abstract record EDMSchedulerConfig : SchedulerConfig
{
    /// <summary>Gets the lowest sigma.</summary>
    [Range(1e-9, 1e9)]
    public double SigmaMin { get; init; } = 0.002;

    /// <summary>Gets the highest sigma.</summary>
    [Range(1e-9, 1e9)]
    public double SigmaMax { get; init; } = 80;

    /// <summary>Gets the standard deviation of the data that the model was trained on.</summary>
    [Range(1e-9, 1e9)]
    public double SigmaData { get; init; } = 0.5;

    /// <summary>Gets how sigmas are spread: evenly in their root <see cref="Rho"/>, or in their logarithm.</summary>
    [AllowedValues("karras", "exponential")]
    public string SigmaSchedule { get; init; } = "karras";

    /// <summary>Gets what the model predicts. Both are scaled by the noise level.</summary>
    [AllowedValues("epsilon", "v_prediction")]
    public string PredictionType { get; init; } = "epsilon";

    /// <summary>Gets the root in which sigmas are spread evenly.</summary>
    [Range(0.1, 1000.0)]
    public double Rho { get; init; } = 7;

    /// <summary>Gets the sigma that the last step ends at.</summary>
    [AllowedValues("zero", "sigma_min")]
    public string FinalSigmasType { get; init; } = "zero";
}
