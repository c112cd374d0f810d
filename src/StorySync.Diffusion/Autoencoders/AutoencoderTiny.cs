using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents a small autoencoder trained to do what a large one does, nearly and in a fraction of the time: for previews
/// (diffusers' <c>AutoencoderTiny</c>, the TAESD family).</summary>
/// <remarks>Images are (batch, channels, height, width) with values from -1 to 1. Input of another floating-point type than the
/// weights' is converted; results have the weights' type.</remarks>
public sealed class AutoencoderTiny : nn.Module
{
    private readonly RunGate runs = new(typeof(AutoencoderTiny));
    private readonly EncoderTiny encoder;
    private readonly DecoderTiny decoder;

    /// <summary>Initializes a new instance of the <see cref="AutoencoderTiny"/> class: the structure alone, on the meta device: weights
    /// come with <see cref="Load"/> or <see cref="WeightBinder"/>.</summary>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">Lists of the config do not fit each other.</exception>
    public AutoencoderTiny(AutoencoderTinyConfig config)
        : base(nameof(AutoencoderTiny))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        encoder = new EncoderTiny(config);
        decoder = new DecoderTiny(config);
        RegisterComponents();
    }

    /// <summary>Gets the config it was built from.</summary>
    public AutoencoderTinyConfig Config { get; }

    /// <summary>Loads the autoencoder from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it; empty where the folder is the autoencoder's own.</param>
    /// <param name="dtype">The type to compute in.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static AutoencoderTiny Load(
        ModelFolder folder, string component = "", ScalarType dtype = ScalarType.Float32, Device? device = null, string? variant = null) =>
        folder.Load(component, (AutoencoderTinyConfig config) => new AutoencoderTiny(config), dtype, device, variant);

    /// <summary>Encodes images.</summary>
    /// <param name="images">(batch, channels, height, width), values from -1 to 1.</param>
    /// <returns>Latents, (batch, latent channels, height, width).</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    public Tensor Encode(Tensor images)
    {
        using var run = runs.Enter();
        ImageShape.Check(images, Config.InChannels);
        return Scoped(() => encoder.call(images.to(encoder.Dtype)).contiguous());
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">(batch, latent channels, height, width); those of a denoiser go through <see cref="UnscaleLatents"/>
    /// first.</param>
    /// <returns>Images, (batch, channels, height, width), about -1 to 1, not clamped.</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    public Tensor Decode(Tensor latents)
    {
        using var run = runs.Enter();
        ImageShape.Check(latents, Config.LatentChannels);
        return Scoped(() => decoder.call(latents.to(decoder.Dtype)).contiguous());
    }

    /// <summary>Converts the autoencoder's latents to the denoiser's: (z - shift_factor) × scaling_factor. With the defaults both are the
    /// same. A new tensor.</summary>
    /// <param name="latents">(batch, latent channels, height, width).</param>
    public Tensor ScaleLatents(Tensor latents)
    {
        using var shifted = latents.Minus(Config.ShiftFactor);
        return shifted.Times(Config.ScalingFactor);
    }

    /// <summary>Converts the denoiser's latents to the autoencoder's, the inverse of <see cref="ScaleLatents"/>. Returns a new
    /// tensor.</summary>
    /// <param name="latents">(batch, latent channels, height, width).</param>
    public Tensor UnscaleLatents(Tensor latents)
    {
        using var unscaled = latents.Over(Config.ScalingFactor);
        return unscaled.Plus(Config.ShiftFactor);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));
}
