namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>Spreads sigmas from the highest to the lowest, and finds the timesteps that belong to them.</summary>
internal static class SigmaSpacing
{
    public static bool IsChosen(ISigmaSpacing config) => config.UseKarrasSigmas || config.UseExponentialSigmas || config.UseBetaSigmas;

    public static void RequireAtMostOne(ISigmaSpacing config)
    {
        bool[] chosen = [config.UseKarrasSigmas, config.UseExponentialSigmas, config.UseBetaSigmas];
        if (chosen.Count(c => c) > 1)
        {
            throw new ArgumentException(
                "Of 'use_karras_sigmas', 'use_exponential_sigmas' and 'use_beta_sigmas' more than one is true; choose one.");
        }
    }

    /// <summary>Returns the spread that the config chooses; <see cref="IsChosen"/> holds.</summary>
    public static double[] Spread(ISigmaSpacing config, double max, double min, int count) =>
        config.UseKarrasSigmas ? Karras(max, min, count)
        : config.UseExponentialSigmas ? [.. NumPy.LinSpace(Math.Log(max), Math.Log(min), count).Select(l => Math.Exp(l))]
        : [.. NumPy.LinSpace(0, 1, count).Select(p => min + BetaQuantile.At(1 - p) * (max - min))];

    /// <summary>Returns the fractional training timestep of a sigma, by interpolation in log sigma.</summary>
    /// <param name="sigma">The sigma.</param>
    /// <param name="logSigmas">By training timestep, ascending.</param>
    public static double ToTimestep(double sigma, ReadOnlySpan<double> logSigmas)
    {
        var log = Math.Log(Math.Max(sigma, 1e-10));
        var low = logSigmas.Length - 1;
        while (low > 0 && logSigmas[low] > log)
        {
            low--;
        }

        low = Math.Min(low, logSigmas.Length - 2);
        var weight = Math.Clamp((logSigmas[low] - log) / (logSigmas[low] - logSigmas[low + 1]), 0, 1);
        return (1 - weight) * low + weight * (low + 1);
    }

    /// <summary>Equation 5 of arXiv 2206.00364, with its ρ = 7.</summary>
    private static double[] Karras(double max, double min, int count)
    {
        const double Rho = 7;
        var (from, to) = (Math.Pow(max, 1 / Rho), Math.Pow(min, 1 / Rho));
        return [.. NumPy.LinSpace(0, 1, count).Select(r => Math.Pow(from + r * (to - from), Rho))];
    }
}
