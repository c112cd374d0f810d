using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Schedulers;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Converts between images and a denoiser's latents by an <see cref="AutoencoderKL"/>, one image after the other.</summary>
internal static class AutoencoderImages
{
    /// <param name="vae">The autoencoder.</param>
    /// <param name="images">(rows, 3, height, width), −1 … 1.</param>
    /// <param name="noise">Decides which of the latents that stand for an image are taken.</param>
    /// <param name="options">Tiling, and the type of the result.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    public static Tensor EncodeImages(
        this AutoencoderKL vae, Tensor images, NoiseSource noise, PipelineOptions options, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        using var distribution = vae.Encode(images.to(vae.Dtype), sliced: true, options.TiledDecoding, cancellationToken);
        return vae.ScaleLatents(distribution.Sample(noise(distribution.Mean))).to(options.Dtype).MoveToOuterDisposeScope();
    }

    /// <param name="vae">The autoencoder.</param>
    /// <param name="latents">(rows, channels, height, width), as the denoiser has them.</param>
    /// <param name="options">Tiling.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    /// <returns>(rows, 3, height, width), 0 … 1.</returns>
    public static Tensor DecodeImages(this AutoencoderKL vae, Tensor latents, PipelineOptions options,
        CancellationToken cancellationToken) => Scoped(() =>
            vae.Decode(vae.UnscaleLatents(latents.to(vae.Dtype)), sliced: true, options.TiledDecoding, cancellationToken)
                .Over_(2).Plus_(0.5).Clamp_(0, 1));
}
