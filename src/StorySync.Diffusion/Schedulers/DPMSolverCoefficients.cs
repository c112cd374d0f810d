using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>
/// A step of every DPM-Solver is a sum: of the sample, of the converted model output, of its first and second difference quotient in λ,
/// and of noise. These are the factors.
/// </summary>
internal readonly record struct DPMSolverCoefficients(float Sample, float Output, float First, float Second, float Noise)
{
    /// <param name="config">Chooses the algorithm.</param>
    /// <param name="from">The noise level at which the step begins.</param>
    /// <param name="to">The noise level at which it ends.</param>
    /// <param name="order">1 … 3.</param>
    public static DPMSolverCoefficients Of(DPMSolverMultistepSchedulerConfig config, NoiseLevel from, NoiseLevel to, int order)
    {
        var h = to.Lambda - from.Lambda;
        var midpoint = order == 2 && config.SolverType != "heun";
        return config.AlgorithmType switch
        {
            "dpmsolver" => ByNoise(from, to, h, midpoint),
            "sde-dpmsolver" => ByNoiseSde(from, to, h, midpoint),
            "sde-dpmsolver++" => ByOriginalSde(from, to, h, midpoint),
            _ => ByOriginal(from, to, h, midpoint),
        };
    }

    private static DPMSolverCoefficients ByOriginal(NoiseLevel from, NoiseLevel to, float h, bool midpoint)
    {
        var decay = TorchMath.Exp(-h) - 1;
        return new(
            to.Noise / from.Noise,
            -(to.Signal * decay),
            midpoint ? -0.5f * (to.Signal * decay) : to.Signal * (decay / h + 1),
            -(to.Signal * ((decay + h) / (h * h) - 0.5f)),
            0);
    }

    private static DPMSolverCoefficients ByNoise(NoiseLevel from, NoiseLevel to, float h, bool midpoint)
    {
        var growth = TorchMath.Exp(h) - 1;
        return new(
            to.Signal / from.Signal,
            -(to.Noise * growth),
            midpoint ? -0.5f * (to.Noise * growth) : -(to.Noise * (growth / h - 1)),
            -(to.Noise * ((growth - h) / (h * h) - 0.5f)),
            0);
    }

    private static DPMSolverCoefficients ByOriginalSde(NoiseLevel from, NoiseLevel to, float h, bool midpoint)
    {
        var decay = 1 - TorchMath.Exp(-2 * h);
        return new(
            to.Noise / from.Noise * TorchMath.Exp(-h),
            to.Signal * decay,
            midpoint ? 0.5f * (to.Signal * decay) : to.Signal * (decay / (-2 * h) + 1),
            to.Signal * ((decay - 2 * h) / (2 * h * (2 * h)) - 0.5f),
            to.Noise * TorchMath.Sqrt(decay));
    }

    private static DPMSolverCoefficients ByNoiseSde(NoiseLevel from, NoiseLevel to, float h, bool midpoint)
    {
        var growth = TorchMath.Exp(h) - 1;
        return new(
            to.Signal / from.Signal,
            -2 * (to.Noise * growth),
            midpoint ? -(to.Noise * growth) : -2 * (to.Noise * (growth / h - 1)),
            0,
            to.Noise * TorchMath.Sqrt(TorchMath.Exp(2 * h) - 1));
    }
}
