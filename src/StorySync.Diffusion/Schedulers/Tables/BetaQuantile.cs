namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>The quantile function of the symmetric beta distribution that spreads sigmas in arXiv 2407.12173.</summary>
internal static class BetaQuantile
{
    /// <summary>Both parameters of the distribution.</summary>
    private const double Shape = 0.6;

    /// <summary>Returns where a share <paramref name="p"/> of the distribution lies below; 0 … 1.</summary>
    public static double At(double p)
    {
        if (p is <= 0 or >= 0.5)
        {
            return p <= 0 ? 0 : p == 0.5 ? 0.5 : 1 - At(1 - p);
        }

        // By symmetry half of the distribution lies below 1/2, which makes its normalizing constant unnecessary.
        var target = p * 2 * Integral(0.5);
        var (low, high) = (0.0, 0.5);
        while ((low + high) / 2 is var middle && low < middle && middle < high)
        {
            (low, high) = Integral(middle) < target ? (middle, high) : (low, middle);
        }

        return high;
    }

    /// <summary>∫₀ˣ t^(s−1) (1−t)^(s−1) dt by its power series, which converges fast up to 1/2.</summary>
    private static double Integral(double x)
    {
        var (sum, term) = (0.0, 1.0);
        for (var n = 0; sum + term / (Shape + n) != sum; n++)
        {
            sum += term / (Shape + n);
            term *= (1 - Shape + n) / (n + 1) * x;
        }

        return Math.Pow(x, Shape) * sum;
    }
}
