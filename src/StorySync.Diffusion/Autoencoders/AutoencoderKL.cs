using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the variational autoencoder of SDXL, Stable Diffusion and FLUX.1: images to latents and back (diffusers'
/// <c>AutoencoderKL</c>; arXiv 2112.10752).</summary>
/// <remarks>Images are (batch, channels, height, width) with values from -1 to 1. Input of another floating-point type than the
/// weights' is converted; results have the weights' type.</remarks>
public sealed class AutoencoderKL : nn.Module
{
    private readonly RunGate runs = new(typeof(AutoencoderKL));
    private readonly Encoder encoder;
    private readonly Decoder decoder;
    private readonly Conv2d? quant_conv;
    private readonly Conv2d? post_quant_conv;

    /// <summary>Initializes a new instance of the <see cref="AutoencoderKL"/> class: the structure alone, on the meta device: weights come
    /// with <see cref="Load"/> or <see cref="WeightBinder"/>.</summary>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">Lists of the config do not fit each other.</exception>
    public AutoencoderKL(AutoencoderKLConfig config)
        : base(nameof(AutoencoderKL))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        TileSize = Math.Max(config.SampleSize[0], config.SpatialFactor);
        encoder = new Encoder(config, 2L * config.LatentChannels);
        decoder = new Decoder(config);
        quant_conv = config.UseQuantConv ? new Conv2d(2L * config.LatentChannels, 2L * config.LatentChannels, kernel: 1) : null;
        post_quant_conv = config.UsePostQuantConv ? new Conv2d(config.LatentChannels, config.LatentChannels, kernel: 1) : null;
        RegisterComponents();
    }

    /// <summary>Gets the config it was built from.</summary>
    public AutoencoderKLConfig Config { get; }

    /// <summary>Gets how many times higher and wider an image is than its latents.</summary>
    public int SpatialFactor => Config.SpatialFactor;

    /// <summary>Gets the height and width of a tile of the image, in pixels, where an image is worked on in tiles; by default
    /// <c>sample_size</c> of the config. With a multiple of 4 × <see cref="SpatialFactor"/> tiles meet exactly.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is smaller than <see cref="SpatialFactor"/>.</exception>
    public int TileSize
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, SpatialFactor);
            field = value;
        }
    }

    /// <summary>Gets the type in which the autoencoder computes.</summary>
    internal ScalarType Dtype => decoder.Dtype;

    private int LatentTileSize => TileSize / SpatialFactor;

    /// <summary>Loads the autoencoder from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it; empty where the folder is the autoencoder's own.</param>
    /// <param name="dtype">The type to compute in. Instead of float16 it is float32 where the config says <c>force_upcast</c>: the
    /// activations would overflow.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static AutoencoderKL Load(
        ModelFolder folder, string component = "vae", ScalarType dtype = ScalarType.Float32, Device? device = null,
            string? variant = null) =>
        folder.Load(component, (AutoencoderKLConfig config) => new AutoencoderKL(config), variant, (model, weights) => WeightBinder.Bind(
            model,
            CurrentAttentionNames.Of(weights),
            dtype == ScalarType.Float16 && model.Config.ForceUpcast ? ScalarType.Float32 : dtype,
            device));

    /// <summary>Encodes images.</summary>
    /// <param name="images">(batch, channels, height, width), values from -1 to 1.</param>
    /// <param name="sliced">Whether to encode one image after the other: less memory, the same result.</param>
    /// <param name="tiled">Whether to encode images larger than <see cref="TileSize"/> tile by tile: memory no longer grows with the
    /// image, but a tile does not see its surroundings, so the result is slightly another.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    /// <returns>The distribution of the latents, owned by the caller.</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    /// <exception cref="OperationCanceledException">It was canceled.</exception>
    public DiagonalGaussianDistribution Encode(
        Tensor images, bool sliced = false, bool tiled = false, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        ImageShape.Check(images, Config.InChannels);
        using var moments = Slices.Map(images, sliced, image => tiled && LongerSide(image) > TileSize
            ? Tiles.Map(image, TileSize, LatentTileSize, tile => EncodeWhole(tile, cancellationToken))
            : EncodeWhole(image, cancellationToken));
        return new DiagonalGaussianDistribution(moments);
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">(batch, latent channels, height, width), as <see cref="Encode"/> gives them; those of a denoiser go through
    /// <see cref="UnscaleLatents"/> first.</param>
    /// <param name="sliced">Whether to decode one image after the other: less memory, the same result.</param>
    /// <param name="tiled">Whether to decode images larger than <see cref="TileSize"/> tile by tile: memory no longer grows with the
    /// image, but a tile does not see its surroundings, so the result is slightly another.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    /// <returns>Images, (batch, channels, height, width), about -1 to 1, not clamped.</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    /// <exception cref="OperationCanceledException">It was canceled.</exception>
    public Tensor Decode(Tensor latents, bool sliced = false, bool tiled = false, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        ImageShape.Check(latents, Config.LatentChannels);
        return Slices.Map(latents, sliced, z => tiled && LongerSide(z) > LatentTileSize
            ? Tiles.Map(z, LatentTileSize, TileSize, tile => DecodeWhole(tile, cancellationToken))
            : DecodeWhole(z, cancellationToken));
    }

    /// <summary>Converts the autoencoder's latents to the denoiser's: (z - shift_factor) × scaling_factor, or by <c>latents_mean</c> and
    /// <c>latents_std</c> where the config has them. A new tensor.</summary>
    /// <param name="latents">(batch, latent channels, height, width).</param>
    public Tensor ScaleLatents(Tensor latents) => Scoped(() => Statistics(latents) is var (mean, std)
        ? (latents - mean).Times(Config.ScalingFactor) / std
        : latents.Minus(Config.ShiftFactor ?? 0).Times(Config.ScalingFactor));

    /// <summary>Converts the denoiser's latents to the autoencoder's, the inverse of <see cref="ScaleLatents"/>. Returns a new
    /// tensor.</summary>
    /// <param name="latents">(batch, latent channels, height, width).</param>
    public Tensor UnscaleLatents(Tensor latents) => Scoped(() => Statistics(latents) is var (mean, std)
        ? (latents * std).Over(Config.ScalingFactor).Plus(mean)
        : latents.Over(Config.ScalingFactor).Plus(Config.ShiftFactor ?? 0));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    private static long LongerSide(Tensor x) => Math.Max(x.shape[2], x.shape[3]);

    private Tensor EncodeWhole(Tensor images, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var moments = encoder.call(images.to(encoder.Dtype), cancellationToken);
        return (quant_conv?.call(moments) ?? moments).contiguous().MoveToOuterDisposeScope();
    }

    private Tensor DecodeWhole(Tensor latents, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var z = latents.to(decoder.Dtype);
        return decoder.call(post_quant_conv?.call(z) ?? z, null, cancellationToken).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The config's mean and standard deviation, by channel; null where it does not have both.</summary>
    private (Tensor Mean, Tensor Std)? Statistics(Tensor latents)
    {
        return Config is { LatentsMean: { } mean, LatentsStd: { } std } ? (ByChannel(mean), ByChannel(std)) : null;

        Tensor ByChannel(IReadOnlyList<double> values) =>
            tensor([.. values], dtype: latents.dtype, device: latents.device).reshape(1, -1, 1, 1);
    }
}
