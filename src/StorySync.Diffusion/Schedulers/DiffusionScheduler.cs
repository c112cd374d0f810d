using System.Collections.Immutable;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents a scheduler whose noise levels come from betas, which is all but flow matching.</summary>
public abstract class DiffusionScheduler : Scheduler
{
    private protected DiffusionScheduler(DiffusionSchedulerConfig config, bool rescaleZeroSnr = false, bool finiteSigmas = false)
        : base(config)
    {
        if (config.TimestepSpacing == "leading" && config.StepsOffset >= TrainTimesteps)
        {
            throw new ArgumentException(
                $"'steps_offset' is {config.StepsOffset}; it must be below 'num_train_timesteps', which is {TrainTimesteps}.");
        }

        AlphasCumprod = [.. NoiseSchedule.AlphasCumprod(config, rescaleZeroSnr)];
        var signals = rescaleZeroSnr ? AlphasCumprod.RemoveAt(TrainTimesteps - 1) : AlphasCumprod;
        if (!signals.All(signal => signal is > 0 and < 1))
        {
            throw new ArgumentException(
                $"'beta_start' {config.BetaStart}, 'beta_end' {config.BetaEnd} and 'beta_schedule' {config.BetaSchedule} leave a noise "
                    + $"level "
                + "with no signal or no noise; every beta must be above 0 and below 1.");
        }

        if (rescaleZeroSnr && finiteSigmas)
        {
            // Zero would make the first sigma infinite; diffusers takes the smallest half-precision number.
            AlphasCumprod = AlphasCumprod.SetItem(TrainTimesteps - 1, MathF.ScaleB(1, -24));
        }
    }

    /// <summary>Gets, by training timestep, the share of the clean sample's variance: the cumulative product of 1 − beta.</summary>
    public ImmutableArray<float> AlphasCumprod { get; }

    /// <summary>Whether the clean sample that a step predicts is clipped or thresholded, so that it is finite.</summary>
    private protected virtual bool LimitsOriginal => false;

    /// <summary>By training timestep, noise over signal.</summary>
    private protected float[] TrainSigmas() => TorchMath.Sqrt(AlphasCumprod.Select(a => (1 - a) / a));

    /// <summary>A plan whose timesteps are training timesteps, for schedulers that step in terms of alphas.</summary>
    private protected SchedulePlan PlanAt(int steps, IEnumerable<double> timesteps)
    {
        float[] table = [.. timesteps.Select(t => (float)t)];
        if (table.Max() >= TrainTimesteps)
        {
            throw new ArgumentException(
                $"{GetType().Name}: with {steps} steps the first timestep is {table.Max()}, but the model was trained on "
                + $"0 … {TrainTimesteps - 1}. Take fewer steps or a smaller 'steps_offset'.");
        }

        if (PredictionType == "epsilon" && !LimitsOriginal && Array.Find(table, t => AlphasCumprod[(int)t] == 0) is not 0 and var noise)
        {
            throw new ArgumentException(
                $"{GetType().Name}: timestep {noise} is all noise ('rescale_betas_zero_snr'), and from a prediction of the noise (epsilon) "
                    + "no image can be told there. Take 'timestep_spacing' leading, or 'rescale_betas_zero_snr' false.");
        }

        return new SchedulePlan(this, steps, table, [], NoiseLevel.OfAlphas([.. table.Select(t => AlphasCumprod[(int)t])]));
    }

    /// <summary>Checks the steps of a distillation.</summary>
    private protected void CheckDistilledSteps(int originals)
    {
        if (originals > TrainTimesteps)
        {
            throw new ArgumentException(
                $"'original_inference_steps' is {originals}; it can be at most 'num_train_timesteps', which is {TrainTimesteps}.");
        }
    }

    /// <summary>A plan whose steps are picked evenly from those of a distillation, or are given.</summary>
    private protected SchedulePlan PlanDistilled(ScheduleOptions options, int originals)
    {
        if (options.Timesteps is { } own)
        {
            return PlanAt(own.Count, own.Select(t => Math.Truncate(t)));
        }

        var steps = options.Steps!.Value;
        if (steps > originals)
        {
            throw new ArgumentException(
                $"{steps} steps are more than the {originals} of the distillation (original_inference_steps).");
        }

        var spacing = TrainTimesteps / originals;
        var pick = originals / (double)steps;
        return PlanAt(steps, Enumerable.Range(0, steps).Select(i => (double)((originals - (int)(i * pick)) * spacing - 1)));
    }
}
