namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the config of <see cref="EDMEulerScheduler"/>.</summary>
public sealed record EDMEulerSchedulerConfig : EDMSchedulerConfig;
