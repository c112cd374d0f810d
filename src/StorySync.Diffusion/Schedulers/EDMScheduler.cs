using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements a scheduler whose model sees noise as Karras et al. do (EDM, arXiv 2206.00364): what it reads and answers is scaled
/// by the noise level, and its timesteps are a quarter of sigma's logarithm. Playground v2.5 and CosXL are such models.</summary>
public abstract class EDMScheduler : Scheduler
{
    private readonly EDMSchedulerConfig config;

    private protected EDMScheduler(EDMSchedulerConfig config)
        : base(config)
    {
        this.config = config;
        if (config.SigmaMin >= config.SigmaMax)
        {
            throw new ArgumentException($"'sigma_min' is {config.SigmaMin}; it must be below 'sigma_max', which is {config.SigmaMax}.");
        }
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var steps = options.Steps!.Value;
        float[] sigmas = [.. Spread(steps).Select(s => (float)s)];
        float[] all = [.. sigmas, config.FinalSigmasType == "zero" ? 0 : (float)config.SigmaMin];
        var data = (float)(config.SigmaData * config.SigmaData);
        return new SchedulePlan(
            this, steps, [.. TorchMath.Log(sigmas).Select(log => 0.25f * log)], all, NoiseLevel.OfAddedNoise(all))
        {
            InitNoiseSigma = (float)Math.Sqrt((config.SigmaMax * config.SigmaMax) + 1),
            InputScales = [.. TorchMath.Sqrt(all.Select(s => (s * s) + data))],
        };
    }

    /// <summary>The clean sample that the model's answer says.</summary>
    private protected static Tensor Original(EDMSchedulerConfig config, Tensor output, Tensor sample, float sigma)
    {
        var data = (float)config.SigmaData;
        var variance = (sigma * sigma) + (data * data);
        var scale = sigma * data / TorchMath.Sqrt(variance);
        return sample.Times(data * data / variance).Plus(output.Times(config.PredictionType == "epsilon" ? scale : -scale));
    }

    private double[] Spread(int steps)
    {
        var (max, min, rho) = (config.SigmaMax, config.SigmaMin, config.Rho);
        var ramp = NumPy.LinSpace(0, 1, steps);
        if (config.SigmaSchedule == "karras")
        {
            var (from, to) = (Math.Pow(max, 1 / rho), Math.Pow(min, 1 / rho));
            return [.. ramp.Select(r => Math.Pow(from + (r * (to - from)), rho))];
        }

        // diffusers turns the ramp from the lowest sigma around, so that a single step is at the lowest.
        return [.. NumPy.LinSpace(Math.Log(min), Math.Log(max), steps).Select(Math.Exp).Reverse()];
    }
}
