using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>The noise levels of training, computed by torch in float32 as diffusers does, so that every number has its rounding.</summary>
internal static class NoiseSchedule
{
    /// <summary>Returns the cumulative products of 1 − beta, by training timestep.</summary>
    public static float[] AlphasCumprod(DiffusionSchedulerConfig config, bool rescaleZeroSnr)
    {
        using var scope = NewDisposeScope();
        var betas = Betas(config);
        if (rescaleZeroSnr)
        {
            betas = RescaleZeroTerminalSnr(betas);
        }

        return betas.Complement().cumprod(0).data<float>().ToArray();
    }

    private static Tensor Betas(DiffusionSchedulerConfig config)
    {
        var (first, last, count) = (config.BetaStart, config.BetaEnd, config.NumTrainTimesteps);
        if (config.TrainedBetas is { } trained)
        {
            return trained.Count == count
                ? tensor(trained.Select(b => (float)b).ToArray())
                : throw new ArgumentException(
                    $"'trained_betas' has {trained.Count} entries; it must have one for each of the {count} 'num_train_timesteps'.");
        }

        return config.BetaSchedule switch
        {
            "linear" => linspace(first, last, count, float32),
            "scaled_linear" => linspace(Math.Sqrt(first), Math.Sqrt(last), count, float32).Pow(2),
            "squaredcos_cap_v2" => FromAlphaBar(count, t => Math.Pow(Math.Cos((t + 0.008) / 1.008 * Math.PI / 2), 2)),
            "exp" => FromAlphaBar(count, t => Math.Exp(t * -12)),
            "laplace" => FromAlphaBar(count, Laplace),
            "sigmoid" => linspace(-6, 6, count, float32).sigmoid().Times(last - first).Plus(first),
            var other => throw new ArgumentException($"'beta_schedule' is {other}, which is not known."),
        };
    }

    /// <summary>The betas whose cumulative product follows a curve over t in [0, 1] (diffusers' <c>betas_for_alpha_bar</c>).</summary>
    private static Tensor FromAlphaBar(int count, Func<double, double> alphaBar)
    {
        const double MaxBeta = 0.999;
        var betas = new float[count];
        for (var i = 0; i < count; i++)
        {
            betas[i] = (float)Math.Min(1 - alphaBar((i + 1.0) / count) / alphaBar((double)i / count), MaxBeta);
        }

        return tensor(betas);
    }

    private static double Laplace(double t)
    {
        var lambda = -0.5 * Math.CopySign(1, 0.5 - t) * Math.Log(1 - 2 * Math.Abs(0.5 - t) + 1e-6);
        var snr = Math.Exp(lambda);
        return Math.Sqrt(snr / (1 + snr));
    }

    /// <summary>Shifts and scales the square roots so that the last level is noise alone (algorithm 1 of arXiv 2305.08891).</summary>
    private static Tensor RescaleZeroTerminalSnr(Tensor betas)
    {
        var root = betas.Complement().cumprod(0).sqrt();
        var (first, last) = (root[0], root[-1]);
        root = (root - last) * (first / (first - last));
        var bar = root.Pow(2);
        return cat([bar[..1], bar[1..] / bar[..^1]]).Complement();
    }
}
