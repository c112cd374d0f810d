namespace StorySync.Diffusion.Schedulers;

/// <summary>Specifies the plan to create (the arguments of diffusers' <c>set_timesteps</c>): a number of steps, or custom timesteps or
/// sigmas.</summary>
public sealed record ScheduleOptions
{
    /// <summary>Gets the number of denoising steps, at least 1. May be left out when <see cref="Timesteps"/> or <see cref="Sigmas"/>
    /// give it.</summary>
    public int? Steps { get; init; }

    /// <summary>Gets custom timesteps, descending, in place of the config's spacing.</summary>
    public IReadOnlyList<double>? Timesteps { get; init; }

    /// <summary>Gets custom noise levels, descending. <see cref="EulerDiscreteScheduler"/> wants the final one (0) included; flow matching
    /// does not.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>Gets the amount of dynamic shifting, for configs with <c>use_dynamic_shifting</c>. See
    /// <see cref="FlowMatchEulerDiscreteScheduler.CalculateShift"/>.</summary>
    public double? Mu { get; init; }
}
