using StorySync.Diffusion.Schedulers.Tables;

namespace StorySync.Diffusion.Schedulers;

/// <summary>A noisy sample is signal · clean + noise · standard normal. Lambda is log(signal / noise), half the log of the
/// signal-to-noise ratio (arXiv 2206.00927).</summary>
internal readonly record struct NoiseLevel(float Signal, float Noise, float Lambda)
{
    /// <summary>Gets the share of noise, 0 … 1: σ on a straight line from signal to noise, elsewhere 1 − ᾱ, that of the variance.</summary>
    public float Share => Signal + Noise < 1 + 1e-6f ? Noise : Noise * Noise / ((Signal * Signal) + (Noise * Noise));

    /// <summary>Returns the levels of diffusers' alphas_cumprod, which keep the variance.</summary>
    public static NoiseLevel[] OfAlphas(float[] alphas) => Of(TorchMath.Sqrt(alphas), TorchMath.Sqrt(alphas.Select(a => 1 - a)));

    /// <summary>Returns the levels that keep the variance, sigma being noise over signal.</summary>
    public static NoiseLevel[] OfSigmas(float[] sigmas)
    {
        float[] signals = [.. TorchMath.Sqrt(sigmas.Select(s => s * s + 1)).Select(root => 1 / root)];
        return Of(signals, [.. sigmas.Zip(signals, (sigma, signal) => sigma * signal)]);
    }

    /// <summary>Returns the levels where the signal keeps its size and noise is added to it (Karras et al., arXiv 2206.00364).</summary>
    public static NoiseLevel[] OfAddedNoise(float[] sigmas) => Of([.. sigmas.Select(_ => 1f)], sigmas);

    /// <summary>Returns the levels on a straight line from signal to noise (flow matching).</summary>
    public static NoiseLevel[] OfFlow(float[] sigmas) => Of([.. sigmas.Select(s => 1 - s)], sigmas);

    private static NoiseLevel[] Of(float[] signals, float[] noises) =>
        [.. signals.Zip(noises, TorchMath.Log(signals).Zip(TorchMath.Log(noises), (signal, noise) => signal - noise))
            .Select(level => new NoiseLevel(level.First, level.Second, level.Third))];
}
