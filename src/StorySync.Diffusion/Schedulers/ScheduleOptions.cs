namespace StorySync.Diffusion.Schedulers;

/// <summary>What to plan (the arguments of diffusers' <c>set_timesteps</c>): a number of steps, or timesteps or sigmas of one's
/// own.</summary>
public sealed record ScheduleOptions
{
    /// <summary>Gets the number of denoising steps, at least 1. May be left out when <see cref="Timesteps"/> or <see cref="Sigmas"/>
    /// give it.</summary>
    public int? Steps { get; init; }

    /// <summary>Timesteps of one's own, descending, in place of the config's spacing.</summary>
    public IReadOnlyList<double>? Timesteps { get; init; }

    /// <summary>Noise levels of one's own, descending. <see cref="EulerDiscreteScheduler"/> wants the final one (0) included; flow
    /// matching does not.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>Gets the amount of dynamic shifting, for configs with <c>use_dynamic_shifting</c>. See
    /// <see cref="FlowMatchEulerDiscreteScheduler.CalculateShift"/>.</summary>
    public double? Mu { get; init; }
}
