namespace StorySync.Diffusion.Schedulers;

/// <summary>The config of <see cref="EDMEulerScheduler"/>.</summary>
public sealed record EDMEulerSchedulerConfig : EDMSchedulerConfig;
