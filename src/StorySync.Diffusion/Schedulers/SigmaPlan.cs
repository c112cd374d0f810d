using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Plans of the schedulers that see noise as added to the sample (Euler, Heun).</summary>
internal static class SigmaPlan
{
    public static SchedulePlan Create(Scheduler scheduler, DiffusionSchedulerConfig config, int steps, float[] timesteps, float[] sigmas)
    {
        var scales = TorchMath.Sqrt(sigmas.Select(s => s * s + 1));
        return new SchedulePlan(scheduler, steps, timesteps, sigmas, NoiseLevel.OfAddedNoise(sigmas))
        {
            InitNoiseSigma = config.TimestepSpacing == "leading" ? scales.Max() : sigmas.Max(),
            InputScales = [.. scales],
        };
    }
}
