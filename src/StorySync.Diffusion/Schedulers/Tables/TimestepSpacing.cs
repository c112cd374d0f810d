namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>Spreads steps over the training timesteps, by the config's <c>timestep_spacing</c>. All results descend.</summary>
internal static class TimestepSpacing
{
    /// <summary>As many timesteps as steps; those of <c>linspace</c> are fractional.</summary>
    public static double[] Spread(DiffusionSchedulerConfig config, int steps)
    {
        CheckSteps(config, steps);
        return Spread(config, steps, config.NumTrainTimesteps, steps);
    }

    /// <summary>As <see cref="Spread(DiffusionSchedulerConfig, int)"/>, rounded.</summary>
    public static double[] SpreadRounded(DiffusionSchedulerConfig config, int steps) =>
        [.. Spread(config, steps).Select(t => Math.Round(t))];

    /// <summary>Returns the way of the multistep solvers: one more point than steps, the lowest of which is left out (but not of
    /// <c>trailing</c>); rounded.</summary>
    /// <param name="config">The config.</param>
    /// <param name="steps">The number of steps.</param>
    /// <param name="top">One above the highest timestep.</param>
    public static double[] SpreadAboveLowest(DiffusionSchedulerConfig config, int steps, int top)
    {
        CheckSteps(config, steps);
        var spread = Spread(config, steps + 1, top, steps);
        return [.. (config.TimestepSpacing == "trailing" ? spread : spread[..^1]).Select(t => Math.Round(t))];
    }

    private static double[] Spread(DiffusionSchedulerConfig config, int points, int top, int steps) => config.TimestepSpacing switch
    {
        "leading" => [.. Enumerable.Range(0, points).Select(i => (double)(i * (top / points) + config.StepsOffset)).Reverse()],
        "trailing" => [.. NumPy.ArangeDown(top, config.NumTrainTimesteps / (double)steps).Select(t => Math.Round(t) - 1)],
        _ => [.. NumPy.LinSpace(0, top - 1, points).Reverse()],
    };

    private static void CheckSteps(DiffusionSchedulerConfig config, int steps)
    {
        if (steps > config.NumTrainTimesteps)
        {
            throw new ArgumentException(
                $"{steps} steps are more than the {config.NumTrainTimesteps} timesteps of training (num_train_timesteps).");
        }
    }
}
