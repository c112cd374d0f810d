using System.Numerics;
using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Moves the sigmas of flow matching towards noise, in the precision of <c>T</c>.</summary>
internal static class TimeShift
{
    public static double RequireMu(double? mu) => mu
        ?? throw new ArgumentException("'use_dynamic_shifting' is true, so the plan needs ScheduleOptions.Mu.", nameof(mu));

    /// <summary>Returns the mu that a config gives an image: linear in its size (diffusers' <c>calculate_shift</c>).</summary>
    public static double MuOf(IDynamicShift config, int imageTokens)
    {
        var slope = (config.MaxShift - config.BaseShift) / (config.MaxImageSeqLen - config.BaseImageSeqLen);
        return imageTokens * slope + (config.BaseShift - slope * config.BaseImageSeqLen);
    }

    /// <exception cref="ArgumentException">The two sizes are equal, so that there is no line between them.</exception>
    public static void Validate(IDynamicShift config)
    {
        if (config.MaxImageSeqLen == config.BaseImageSeqLen)
        {
            throw new ArgumentException(
                $"'base_image_seq_len' and 'max_image_seq_len' are both {config.MaxImageSeqLen}; they must differ.");
        }
    }

    /// <summary>Equation 23 of arXiv 2403.03206.</summary>
    public static T ByFactor<T>(T sigma, double shift)
        where T : IFloatingPoint<T> => T.CreateChecked(shift) * sigma / (T.One + T.CreateChecked(shift - 1) * sigma);

    public static T ByMu<T>(T sigma, double mu, string type)
        where T : IFloatingPoint<T>
    {
        var factor = T.CreateChecked(type == "exponential" ? Math.Exp(mu) : mu);
        return factor / (factor + (T.One / sigma - T.One));
    }

    /// <summary>Stretches descending sigmas so that the last becomes <paramref name="terminal"/>.</summary>
    public static void StretchTo<T>(Span<T> sigmas, double terminal)
        where T : IFloatingPoint<T>
    {
        var scale = (T.One - sigmas[^1]) / T.CreateChecked(1 - terminal);
        foreach (ref var sigma in sigmas)
        {
            sigma = T.One - (T.One - sigma) / scale;
        }
    }
}
