using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents Kandinsky 3 (diffusers' <c>Kandinsky3Pipeline</c> and <c>Kandinsky3Img2ImgPipeline</c>; inpainting, which diffusers
/// does not have for it, by the rule of SDXL's).</summary>
/// <remarks>A height or width that is not a multiple of 64 is rounded up to one. The guidance scale counts from the prediction with the
/// prompt: 3 is what other models call 4.</remarks>
public sealed class Kandinsky3Pipeline : DiffusionPipeline
{
    private readonly Kandinsky3Prompts prompts;
    private readonly ModelOffload offload;

    internal Kandinsky3Pipeline(LoadJob job)
        : base(job)
    {
        var (folder, options) = (job.Folder, job.Options);
        var (dtype, variant, home) = (options.Dtype, options.Variant, options.Offload ? CPU : Device);
        Tokenizer = ModelParts.LoadT5Tokenizer(folder, "tokenizer", "text_encoder");
        TextEncoder = job.Load("text_encoder", part => T5EncoderModel.Load(folder, part, dtype, home, variant));
        UNet = job.Load("unet", part => Kandinsky3UNet.Load(folder, part, dtype, home, variant));
        Movq = job.Load("movq", part => VQModel.Load(folder, part, dtype, home, variant));
        ModelParts.RequireEqual(folder, "'encoder_hid_dim' of unet", UNet.Config.EncoderHidDim, "'d_model' of text_encoder",
            TextEncoder.Config.DModel);
        ModelParts.RequireEqual(folder, "'in_channels' of unet", UNet.Config.InChannels, "'latent_channels' of movq",
            Movq.Config.LatentChannels);
        ModelParts.RequireEqual(folder, "'in_channels' of unet", UNet.Config.InChannels, "'vq_embed_dim' of movq", Movq.CodeWidth);
        ModelParts.RequireRgb(folder, "movq", Movq.Config);
        prompts = new Kandinsky3Prompts(Tokenizer, TextEncoder);
        Loras = new LoraAdapters([("unet", UNet, null)]) { ComputeType = dtype };
        Parts = [Loras, TextEncoder, UNet, Movq];
        WeightParts =
        [
            new("text_encoder", TextEncoder, GenerationStage.Encoding),
            new("unet", UNet, GenerationStage.Denoising),
            new("movq", Movq, GenerationStage.Decoding),
        ];
        offload = new ModelOffload(options.Offload, Device, TextEncoder, UNet, Movq);
    }

    /// <summary>Gets the text encoder's tokenizer.</summary>
    public PromptTokenizer Tokenizer => Alive(field);

    /// <summary>Gets the text encoder.</summary>
    public T5EncoderModel TextEncoder => Alive(field);

    /// <summary>Gets the denoiser.</summary>
    public Kandinsky3UNet UNet => Alive(field);

    /// <summary>Gets the autoencoder.</summary>
    public VQModel Movq => Alive(field);

    /// <inheritdoc/>
    public override AttentionProcessors AttentionProcessors => UNet.AttentionProcessors;

    /// <inheritdoc/>
    public override int SizeMultiple => 8 * Movq.SpatialFactor;

    /// <summary>Loads the model.</summary>
    /// <inheritdoc cref="DiffusionPipeline.Load"/>
    /// <exception cref="WeightMismatchException">Weights are not those of their configuration.</exception>
    public static new Kandinsky3Pipeline Load(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        PipelineLoader.Load<Kandinsky3Pipeline>(model, options, progress, cancellationToken);

    /// <summary>Loads the model on a thread of the pool.</summary>
    /// <inheritdoc cref="Load"/>
    public static new Task<Kandinsky3Pipeline> LoadAsync(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => Load(model, options, progress, cancellationToken), cancellationToken);

    private protected override ImageSize DefaultSizeOfClass => (RoundSide(1024), RoundSide(1024));

    /// <summary>Scenes read each other in the positive half of guidance alone: the negative one follows the other scenes more readily, and
    /// guidance would lead away from them. Sharing begins when layouts stand.</summary>
    private protected override StoryAttentionOptions TechniquesOfClass { get; } =
        new StoryAttentionOptions { NegativeHalf = false, Sharing = new() { Steps = new(0.3, 1) } }.Over(StoryAttentionOptions.Default);

    private protected override int DefaultStepsOfClass => 25;

    private protected override double DefaultGuidanceScaleOfClass(GenerationRequest request) => 3;

    internal override Type RequestType => typeof(Kandinsky3Request);

    internal override void Warn(GenerationRequest request, bool guidance, WarningList warnings) => warnings.AddIf(
        request.NegativePrompts is not null && !guidance,
        "NegativePrompts has no effect: guidance is off; it is on with a GuidanceScale above 1.");

    internal override IEnumerable<PromptReading> Readings(GenerationRequest request, bool guidance) =>
        [new("text_encoder", Tokenizer, prompts.Length, [.. request.Prompts, .. guidance ? request.NegativePrompts ?? [] : []])];

    internal override TokenEncoding Tokenize(GenerationRequest request, string prompt) => prompts.Tokenize(prompt);

    /// <summary>diffusers makes latents of 8 cells for every begun 64 pixels, whatever the autoencoder makes of a cell.</summary>
    internal override int RoundSide(int asked) => (asked + 63) / 64 * SizeMultiple;

    internal override long[] LatentShape(int images, int height, int width) =>
        [images, UNet.Config.InChannels, height / Movq.SpatialFactor, width / Movq.SpatialFactor];

    internal override PromptEmbeddings Encode(
        GenerationRequest request, int height, int width, bool guidance, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(TextEncoder);
        return prompts.Encode(request, guidance, cancellationToken);
    }

    internal override IDisposable AcquireDenoiser() => offload.Acquire(UNet);

    internal override Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context) =>
        UNet.call(((Kandinsky3Embeddings)embeddings).Inputs(sample, timestep), context);

    /// <summary><c>(scale + 1) · positive − scale · negative</c>.</summary>
    internal override Tensor Guide(Tensor prediction, GenerationRequest request, double scale)
    {
        using var scope = NewDisposeScope();
        var halves = prediction.chunk(2, dim: 0);
        return (halves[1].Times(scale + 1) - halves[0].Times(scale)).MoveToOuterDisposeScope();
    }

    internal override Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Movq);
        return Movq.Encode(images, sliced: true, cancellationToken);
    }

    internal override Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Movq);
        return Scoped(() =>
            Movq.Decode(latents, quantize: false, sliced: true, cancellationToken).Over_(2).Plus_(0.5).Clamp_(0, 1));
    }

    internal override bool DecodesTiles => false;

    internal override IReadOnlyList<ModelPart> WeightParts => Alive(field);

    internal override long TextValues => prompts.Length * (long)UNet.Config.EncoderHidDim;

    internal override ConvolutionalAutoencoderConfig DecoderConfig => Movq.Config;

    internal override ActivationPeak TextPeak(long rows) =>
        TextPeaks.Largest("text_encoder", TextEncoder.Config, rows, prompts.Length);

    internal override ActivationPeak DenoiserPeak(DenoiserBatch batch) =>
        UNet.PeakElements(batch.Rows, batch.Height / Movq.SpatialFactor, batch.Width / Movq.SpatialFactor);

    internal override long ImageTokens(AttentionLayer layer, int height, int width) => UNetLevels.TokensOf(
        layer, UNet.Config.BlockOutChannels.Count, height / Movq.SpatialFactor, width / Movq.SpatialFactor);

    internal override long BlockCacheValues(int height, int width) =>
        UNet.BlockCacheElements(height / Movq.SpatialFactor, width / Movq.SpatialFactor);
}
