using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Kandinsky 3 (diffusers' <c>Kandinsky3Pipeline</c> and <c>Kandinsky3Img2ImgPipeline</c>).</summary>
/// <remarks>A height or width that is no multiple of 64 is rounded up to one. The guidance scale counts from the prediction with the
/// prompt: 3 is what other models call 4.</remarks>
public sealed class Kandinsky3Pipeline : DiffusionPipeline
{
    private readonly Kandinsky3Prompts prompts;
    private readonly Residency residency;

    private Kandinsky3Pipeline(ModelFolder folder, PipelineOptions options)
        : base(ModelParts.LoadScheduler(folder, flow: false), options)
    {
        var (dtype, variant, home) = (options.Dtype, options.Variant, options.Offload ? CPU : Device);
        Tokenizer = ModelParts.LoadT5Tokenizer(folder, "tokenizer", "text_encoder");
        TextEncoder = T5EncoderModel.Load(folder, "text_encoder", dtype, home, variant);
        UNet = Kandinsky3UNet.Load(folder, "unet", dtype, home, variant);
        Movq = VQModel.Load(folder, "movq", dtype, home, variant);
        ModelParts.RequireEqual(folder, "'encoder_hid_dim' of unet", UNet.Config.EncoderHidDim, "'d_model' of text_encoder", TextEncoder.Config.DModel);
        ModelParts.RequireEqual(folder, "'in_channels' of unet", UNet.Config.InChannels, "'latent_channels' of movq", Movq.Config.LatentChannels);
        prompts = new Kandinsky3Prompts(Tokenizer, TextEncoder);
        Parts = [TextEncoder, UNet, Movq];
        residency = new Residency(options.Offload, Device, TextEncoder, UNet, Movq);
    }

    /// <summary>The text encoder's tokenizer.</summary>
    public PromptTokenizer Tokenizer { get; }

    /// <summary>The text encoder.</summary>
    public T5EncoderModel TextEncoder { get; }

    /// <summary>The denoiser.</summary>
    public Kandinsky3UNet UNet { get; }

    /// <summary>The autoencoder.</summary>
    public VQModel Movq { get; }

    /// <inheritdoc/>
    public override AttentionProcessors AttentionProcessors => UNet.AttentionProcessors;

    /// <inheritdoc/>
    public override int DefaultSteps => 25;

    /// <inheritdoc/>
    public override double DefaultGuidanceScale => 3;

    /// <inheritdoc/>
    public override (int Height, int Width) DefaultSize => (PictureSide(1024), PictureSide(1024));

    /// <inheritdoc/>
    public override int SizeMultiple => 8 * Movq.SpatialFactor;

    /// <summary>Loads the model.</summary>
    /// <param name="model">A folder in diffusers' layout, or <c>organisation/name</c> in the Hugging Face cache.</param>
    /// <param name="options">Device, type and files; null for the defaults.</param>
    /// <exception cref="ModelFileException">The model is nowhere to be found or damaged.</exception>
    /// <exception cref="WeightMismatchException">Weights are not those of their configuration.</exception>
    public static new Kandinsky3Pipeline Load(string model, PipelineOptions? options = null) =>
        Load(ModelFolder.Open(model), options ?? new());

    internal static Kandinsky3Pipeline Load(ModelFolder folder, PipelineOptions options) => new(folder, options);

    internal override void Check(GenerationRequest request)
    {
        ModelParts.Check(Scheduler, flow: false);
        RequestRules.Require(request.Mask is null, "There is a Mask, but Kandinsky 3 here makes whole pictures anew; leave it out.");
    }

    internal override TokenEncoding Tokenize(string prompt) => prompts.Tokenize(prompt);

    /// <summary>diffusers makes latents of 8 cells for every begun 64 pixels, whatever the autoencoder makes of a cell.</summary>
    internal override int PictureSide(int asked) => (asked + 63) / 64 * SizeMultiple;

    internal override long[] LatentShape(int pictures, int height, int width) =>
        [pictures, UNet.Config.InChannels, height / Movq.SpatialFactor, width / Movq.SpatialFactor];

    internal override PromptEmbeddings Encode(
        GenerationRequest request, int height, int width, bool guidance, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(TextEncoder);
        return prompts.Encode(request, guidance, cancellationToken);
    }

    internal override IDisposable? HoldDenoiser() => residency.Hold(UNet);

    internal override Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context) =>
        UNet.call(((Kandinsky3Embeddings)embeddings).Inputs(sample, timestep), context);

    /// <summary><c>(scale + 1) · positive − scale · negative</c>.</summary>
    internal override Tensor Guide(Tensor prediction, GenerationRequest request, double scale)
    {
        using var scope = NewDisposeScope();
        var halves = prediction.chunk(2, dim: 0);
        return (((scale + 1) * halves[1]) - (scale * halves[0])).MoveToOuterDisposeScope();
    }

    internal override Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(Movq);
        return Movq.Encode(images, sliced: true, cancellationToken);
    }

    internal override Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(Movq);
        using var scope = NewDisposeScope();
        var images = Movq.Decode(latents, quantize: false, sliced: true, cancellationToken);
        return images.div_(2).add_(0.5).clamp_(0, 1).MoveToOuterDisposeScope();
    }

    internal override IReadOnlyList<ModelPart> WeightParts =>
    [
        new("text_encoder", TextEncoder, GenerationStage.Encoding),
        new("unet", UNet, GenerationStage.Denoising),
        new("movq", Movq, GenerationStage.Decoding),
    ];

    internal override long TextValues => Kandinsky3Prompts.MaxLength * (long)UNet.Config.EncoderHidDim;

    internal override ConvolutionalAutoencoderConfig DecoderConfig => Movq.Config;

    internal override ActivationPeak TextMoment(long rows) =>
        TextMoments.Largest("text_encoder", TextEncoder.Config, rows, Kandinsky3Prompts.MaxLength);

    internal override ActivationPeak DenoiserMoment(DenoiserBatch batch) =>
        UNet.PeakElements(batch.Rows, batch.Height / Movq.SpatialFactor, batch.Width / Movq.SpatialFactor);

    internal override long BlockCacheValues(int height, int width) =>
        UNet.BlockCacheElements(height / Movq.SpatialFactor, width / Movq.SpatialFactor);
}
