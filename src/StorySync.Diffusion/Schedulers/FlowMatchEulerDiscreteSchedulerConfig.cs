using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="FlowMatchEulerDiscreteScheduler"/>.</summary>
public sealed record FlowMatchEulerDiscreteSchedulerConfig : SchedulerConfig, ISigmaSpacing, IDynamicShift
{
    /// <summary>Gets the time shift; ignored when <see cref="UseDynamicShifting"/> is set.</summary>
    [Range(1e-6, 1e6)]
    public double Shift { get; init; } = 1;

    /// <summary>Gets a value indicating whether the time shift comes from the plan's mu, which depends on the size of the image.</summary>
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

    /// <summary>Gets a value indicating whether sigmas count from clean to noisy.</summary>
    public bool InvertSigmas { get; init; }

    /// <summary>Gets what the lowest sigma is stretched to.</summary>
    [Range(0.0, 0.999)]
    public double? ShiftTerminal { get; init; }

    /// <summary>Gets a value indicating whether sigmas have Karras et al.'s spacing.</summary>
    public bool UseKarrasSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are evenly spaced in their logarithm.</summary>
    public bool UseExponentialSigmas { get; init; }

    /// <summary>Gets a value indicating whether sigmas are spaced by a beta distribution.</summary>
    public bool UseBetaSigmas { get; init; }

    /// <summary>Gets how mu shifts.</summary>
    [AllowedValues("exponential", "linear")]
    public string TimeShiftType { get; init; } = "exponential";

    /// <summary>Gets a value indicating whether each step goes to the predicted clean sample and adds fresh noise.</summary>
    public bool StochasticSampling { get; init; }
}
