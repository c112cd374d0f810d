using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the distribution that <see cref="AutoencoderKL"/> encodes an image to: a mean and a variance of every latent value
/// (diffusers' class of that name).</summary>
public sealed class DiagonalGaussianDistribution : IDisposable
{
    /// <param name="moments">Means, then log-variances, (batch, 2 × channels, height, width).</param>
    internal DiagonalGaussianDistribution(Tensor moments)
    {
        var halves = moments.chunk(2, dim: 1);
        Mean = halves[0];
        using var raw = halves[1];
        LogVar = raw.Clamp(-30.0, 20.0);
    }

    /// <summary>Gets the means, (batch, channels, height, width).</summary>
    public Tensor Mean { get; }

    /// <summary>Gets the logarithms of the variances, clamped to [-30, 20]; same shape.</summary>
    public Tensor LogVar { get; }

    /// <summary>Returns the likeliest latents: the means. A new tensor.</summary>
    public Tensor Mode() => Mean.clone();

    /// <summary>Returns the standard deviations. A new tensor.</summary>
    public Tensor Std()
    {
        using var half = LogVar.Times(0.5);
        return half.exp();
    }

    /// <summary>Latents drawn from the distribution: mean + standard deviation × noise. A new tensor.</summary>
    /// <param name="noise">Standard normal noise of the same shape.</param>
    public Tensor Sample(Tensor noise)
    {
        using var std = Std();
        using var deviation = std * noise;
        return Mean.Plus(deviation);
    }

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Mean.Dispose();
        LogVar.Dispose();
    }
}
