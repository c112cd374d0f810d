using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the autoencoder of Kandinsky 3, MoVQ: images to latents and back, with norms in the decoder that look at the latents
/// (diffusers' <c>VQModel</c>; arXiv 2209.09002).</summary>
/// <remarks>Images are (batch, channels, height, width) with values from -1 to 1. Input of another floating-point type than the
/// weights' is converted; results have the weights' type.</remarks>
public sealed class VQModel : nn.Module
{
    private readonly RunGate runs = new(typeof(VQModel));
    private readonly Encoder encoder;
    private readonly Conv2d quant_conv;
    private readonly VectorQuantizer quantize;
    private readonly Conv2d post_quant_conv;
    private readonly Decoder decoder;
    private readonly bool spatialNorms;

    /// <summary>Initializes a new instance of the <see cref="VQModel"/> class: the structure alone, on the meta device: weights come with
    /// <see cref="Load"/> or <see cref="WeightBinder"/>.</summary>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">Entries of the config do not fit each other.</exception>
    public VQModel(VQModelConfig config)
        : base(nameof(VQModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        spatialNorms = config.NormType == "spatial";
        CodeWidth = config.VqEmbedDim ?? config.LatentChannels;
        if (spatialNorms && CodeWidth != config.LatentChannels)
        {
            throw new ArgumentException($"vq_embed_dim is {CodeWidth} and latent_channels is {config.LatentChannels}; "
                + "with norm_type 'spatial' they must be equal, because the norms look at the quantized latents.", nameof(config));
        }

        encoder = new Encoder(config, config.LatentChannels);
        quant_conv = new Conv2d(config.LatentChannels, CodeWidth, kernel: 1);
        quantize = new VectorQuantizer(config.NumVqEmbeddings, CodeWidth);
        post_quant_conv = new Conv2d(CodeWidth, config.LatentChannels, kernel: 1);
        decoder = new Decoder(config);
        RegisterComponents();
    }

    /// <summary>Gets the config it was built from.</summary>
    public VQModelConfig Config { get; }

    /// <summary>Gets how many times higher and wider an image is than its latents.</summary>
    public int SpatialFactor => Config.SpatialFactor;

    /// <summary>Gets the number of channels of the latents that <see cref="Encode"/> gives and <see cref="Decode"/> takes.</summary>
    public int CodeWidth { get; }

    /// <summary>Loads the autoencoder from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it; empty where the folder is the autoencoder's own.</param>
    /// <param name="dtype">The type to compute in.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static VQModel Load(
        ModelFolder folder, string component = "movq", ScalarType dtype = ScalarType.Float32, Device? device = null,
            string? variant = null) =>
        folder.Load(component, (VQModelConfig config) => new VQModel(config), variant, (model, weights) =>
            WeightBinder.Bind(model, CurrentAttentionNames.Of(weights), dtype, device));

    /// <summary>Encodes images.</summary>
    /// <param name="images">(batch, channels, height, width), values from -1 to 1.</param>
    /// <param name="sliced">Whether to encode one image after the other: less memory, the same result.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    /// <returns>Latents before quantization, (batch, <see cref="CodeWidth"/>, height, width).</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    /// <exception cref="OperationCanceledException">It was canceled.</exception>
    public Tensor Encode(Tensor images, bool sliced = false, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        ImageShape.Check(images, Config.InChannels);
        return Slices.Map(images, sliced, image =>
            Scoped(() => quant_conv.call(encoder.call(image.to(encoder.Dtype), cancellationToken)).contiguous()));
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">(batch, <see cref="CodeWidth"/>, height, width).</param>
    /// <param name="quantize">Whether to replace the latents by their nearest codebook vectors first. Kandinsky 3 does not.</param>
    /// <param name="sliced">Whether to decode one image after the other: less memory, the same result.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    /// <returns>Images, (batch, channels, height, width), about -1 to 1, not clamped.</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    /// <exception cref="OperationCanceledException">It was canceled.</exception>
    public Tensor Decode(Tensor latents, bool quantize, bool sliced = false, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        ImageShape.Check(latents, CodeWidth);
        return Slices.Map(latents, sliced, slice => Scoped(() =>
        {
            var z = quantize ? Quantize(slice).Quantized : slice.to(decoder.Dtype);
            return decoder.call(post_quant_conv.call(z), spatialNorms ? z : null, cancellationToken).contiguous();
        }));
    }

    /// <summary>Replaces latents by their nearest codebook vectors.</summary>
    /// <param name="latents">(batch, <see cref="CodeWidth"/>, height, width).</param>
    /// <returns>The vectors in the shape of the latents, and their places in the codebook, (batch × height × width), row by row.</returns>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    internal (Tensor Quantized, Tensor Indices) Quantize(Tensor latents)
    {
        using var run = runs.Enter();
        ImageShape.Check(latents, CodeWidth);
        using var converted = latents.to(decoder.Dtype);
        return quantize.call(converted);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));
}
