using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>FLUX.1, schnell and dev (diffusers' <c>FluxPipeline</c> and <c>FluxImg2ImgPipeline</c>).</summary>
/// <remarks>Latents are the denoiser's tokens, (rows, tokens, channels), from the first step to the last: see
/// <see cref="FluxLatents"/>.</remarks>
public sealed class FluxPipeline : DiffusionPipeline
{
    private const int LongestSequence = 512;

    private readonly FluxPrompts prompts;
    private readonly Residency residency;

    /// <param name="folder">The model.</param>
    /// <param name="denoiser">The folder that has the transformer and the scheduler; usually the same.</param>
    /// <param name="options">Device, type and files.</param>
    internal FluxPipeline(ModelFolder folder, ModelFolder denoiser, PipelineOptions options)
        : base(ModelParts.LoadScheduler(denoiser, flow: true), options)
    {
        var (dtype, variant, home) = (options.Dtype, options.Variant, options.Offload ? CPU : Device);
        Tokenizer = ModelParts.LoadClipTokenizer(folder, "tokenizer", "text_encoder");
        Tokenizer2 = ModelParts.LoadT5Tokenizer(folder, "tokenizer_2", "text_encoder_2");
        TextEncoder = CLIPTextModel.Load(folder, "text_encoder", dtype, home, variant);
        TextEncoder2 = T5EncoderModel.Load(folder, "text_encoder_2", dtype, home, variant);
        Transformer = FluxTransformer2DModel.Load(denoiser, "transformer", dtype, options.StreamBlocks ? Device : home, variant, options.StreamBlocks);
        Vae = AutoencoderKL.Load(folder, "vae", dtype, home, variant);
        ModelParts.RequireEqual(
            folder, "'joint_attention_dim' of transformer", Transformer.Config.JointAttentionDim, "'d_model' of text_encoder_2", TextEncoder2.Config.DModel);
        ModelParts.RequireEqual(
            folder, "'pooled_projection_dim' of transformer", Transformer.Config.PooledProjectionDim, "'hidden_size' of text_encoder", TextEncoder.Config.HiddenSize);
        ModelParts.RequireEqual(
            folder, "'in_channels' of transformer", Transformer.Config.InChannels, "four times 'latent_channels' of vae", 4L * Vae.Config.LatentChannels);
        prompts = new FluxPrompts(Tokenizer, Tokenizer2, TextEncoder, TextEncoder2);
        Loras = new LoraAdapters([("transformer", Transformer, null), ("text_encoder", TextEncoder, null)]) { ComputeType = dtype };
        Parts = [Loras, TextEncoder, TextEncoder2, Transformer, Vae];
        residency = new Residency(options.Offload, Device, [TextEncoder, TextEncoder2, Vae, .. options.StreamBlocks ? [] : (nn.Module[])[Transformer]]);
    }

    /// <summary>CLIP's tokenizer.</summary>
    public PromptTokenizer Tokenizer { get; }

    /// <summary>T5's tokenizer.</summary>
    public PromptTokenizer Tokenizer2 { get; }

    /// <summary>CLIP, which gives the pooled text.</summary>
    public CLIPTextModel TextEncoder { get; }

    /// <summary>T5, which gives the text tokens.</summary>
    public T5EncoderModel TextEncoder2 { get; }

    /// <summary>The denoiser.</summary>
    public FluxTransformer2DModel Transformer { get; }

    /// <summary>The autoencoder.</summary>
    public AutoencoderKL Vae { get; }

    /// <summary>The LoRAs on the denoiser and on CLIP, in the layout of diffusers / PEFT.</summary>
    public LoraAdapters Loras { get; }

    /// <inheritdoc/>
    public override AttentionProcessors AttentionProcessors => Transformer.AttentionProcessors;

    /// <summary>28; 4 for a model without guidance embedding (schnell), which was distilled to few steps.</summary>
    public override int DefaultSteps => IsDistilledToFewSteps ? 4 : 28;

    /// <inheritdoc/>
    public override double DefaultGuidanceScale => 3.5;

    /// <inheritdoc/>
    public override (int Height, int Width) DefaultSize => (128 * Vae.SpatialFactor, 128 * Vae.SpatialFactor);

    /// <inheritdoc/>
    public override int SizeMultiple => 2 * Vae.SpatialFactor;

    /// <summary>Sharing and harmonization keep to the blocks that attend by content and not by position, and masks come from the later
    /// double blocks. For a model without guidance embedding (schnell), whose few steps settle a picture early, the masks are there within
    /// the first step, and the windows are made for four steps.</summary>
    /// <seealso cref="SharingOptions.MatchPositions"/>
    public override StoryAttentionOptions DefaultTechniques => FluxTechniques.For(Transformer.Config, IsDistilledToFewSteps);

    private bool IsDistilledToFewSteps => !Transformer.Config.GuidanceEmbeds;

    private int DefaultSequenceLength => IsDistilledToFewSteps ? 256 : LongestSequence;

    /// <summary>Loads the model.</summary>
    /// <param name="model">A folder in diffusers' layout, or <c>organisation/name</c> in the Hugging Face cache.</param>
    /// <param name="options">Device, type and files; null for the defaults.</param>
    /// <exception cref="ModelFileException">The model is nowhere to be found or damaged.</exception>
    /// <exception cref="WeightMismatchException">Weights are not those of their configuration.</exception>
    public static new FluxPipeline Load(string model, PipelineOptions? options = null) => Load(ModelFolder.Open(model), options ?? new());

    internal static FluxPipeline Load(ModelFolder folder, PipelineOptions options) => new(folder, folder, options);

    internal override void Check(GenerationRequest request)
    {
        ModelParts.Check(Scheduler, flow: true);
        var own = FluxRequest.Of(request);
        RequestRules.OneOrEach(own.Prompts2?.Count, request.Prompts.Count, "Prompts2", "prompts");
        RequestRules.OneOrEach(own.NegativePrompts2?.Count, request.Prompts.Count, "NegativePrompts2", "prompts");
        RequestRules.Require(double.IsFinite(own.TrueCfgScale), $"TrueCfgScale is {own.TrueCfgScale}; it must be a number.");
        RequestRules.Require(
            own.MaxSequenceLength is null or (>= 1 and <= LongestSequence),
            $"MaxSequenceLength is {own.MaxSequenceLength}; it must be from 1 to {LongestSequence}.");
        RequestRules.Require(request.Mask is null, "There is a Mask, but FLUX here makes whole pictures anew; leave it out.");
    }

    internal override TokenEncoding Tokenize(string prompt) => Tokenizer2.EncodePadded(prompt, DefaultSequenceLength);

    internal override long[] LatentShape(int pictures, int height, int width) => [pictures, Grid(height, width).Tokens, Transformer.Config.InChannels];

    /// <summary>Noise is drawn in the autoencoder's layout, so that a seed stands for the picture that diffusers makes of it.</summary>
    internal override Tensor DrawNoise(NoiseSource noise, int pictures, int height, int width)
    {
        using var scope = NewDisposeScope();
        long[] shape = [pictures, Transformer.Config.InChannels / 4, height / Vae.SpatialFactor, width / Vae.SpatialFactor];
        return FluxLatents.Pack(noise(empty(shape, dtype: Options.Dtype, device: Device))).MoveToOuterDisposeScope();
    }

    internal override Tensor Unpack(Tensor latents, int height, int width) => FluxLatents.Unpack(latents, Grid(height, width));

    /// <summary>Even steps from all noise to the last step's, unless the scheduler has its own; shifted by the number of tokens where the
    /// scheduler shifts by it.</summary>
    internal override SchedulePlan Plan(int steps, int height, int width) => Scheduler.CreatePlan(new ScheduleOptions
    {
        Steps = Scheduler is FlowMatchEulerDiscreteScheduler ? null : steps,
        Sigmas = Scheduler is FlowMatchEulerDiscreteScheduler ? [.. Enumerable.Range(0, steps).Select(i => (double)(steps - i) / steps)] : null,
        Mu = Scheduler.MuOf(Grid(height, width).Tokens),
    });

    /// <summary>Other than SDXL's, FLUX's pipeline in diffusers makes a step that the strength covers in part.</summary>
    internal override int BeginIndex(SchedulePlan plan, double strength) =>
        (int)(plan.Steps - Math.Min(plan.Steps * strength, plan.Steps)) * plan.Order;

    internal override double GuidanceScaleOf(GenerationRequest request) =>
        request.NegativePrompts is null ? 1 : FluxRequest.Of(request).TrueCfgScale;

    internal override PromptEmbeddings Encode(GenerationRequest request, int height, int width, bool guidance, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(TextEncoder);
        using var held2 = residency.Hold(TextEncoder2);
        var length = FluxRequest.Of(request).MaxSequenceLength ?? DefaultSequenceLength;
        var (text, pooled) = prompts.Encode(request, length, guidance, cancellationToken);
        var grid = Grid(height, width);
        return new FluxEmbeddings(
            text,
            pooled,
            Transformer.Config.GuidanceEmbeds ? tensor((float)(request.GuidanceScale ?? DefaultGuidanceScale), device: Device) : null,
            Transformer.EmbedPositions(FluxLatents.TextIds(length), FluxLatents.ImageIds(grid)).To(Device),
            grid);
    }

    internal override IDisposable? HoldDenoiser() => residency.Hold(Transformer);

    internal override Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context) =>
        Transformer.call(((FluxEmbeddings)embeddings).Inputs(sample, timestep), context);

    internal override Tensor Guide(Tensor prediction, GenerationRequest request, double scale) => Guidance.ClassifierFree(prediction, scale);

    internal override Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(Vae);
        using var scope = NewDisposeScope();
        return FluxLatents.Pack(Vae.EncodePictures(images, noise, Options, cancellationToken)).MoveToOuterDisposeScope();
    }

    internal override Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken)
    {
        using var held = residency.Hold(Vae);
        using var scope = NewDisposeScope();
        return Vae.DecodePictures(Unpack(latents, height, width), Options, cancellationToken).MoveToOuterDisposeScope();
    }

    internal override IReadOnlyList<ModelPart> WeightParts =>
    [
        new("text_encoder", TextEncoder, GenerationStage.Encoding),
        new("text_encoder_2", TextEncoder2, GenerationStage.Encoding),
        new("transformer", Transformer, GenerationStage.Denoising),
        new("vae", Vae, GenerationStage.Decoding) { NeedsFloat32 = Vae.Config.ForceUpcast },
    ];

    internal override long TextValues => DefaultSequenceLength * (long)Transformer.Config.JointAttentionDim;

    internal override ConvolutionalAutoencoderConfig DecoderConfig => Vae.Config;

    internal override int? TileSize => Vae.TileSize;

    internal override bool StreamsBlocks => true;

    internal override ActivationPeak TextMoment(long rows) => TextMoments.Largest("text_encoder_2", TextEncoder2.Config, rows, DefaultSequenceLength);

    internal override ActivationPeak DenoiserMoment(DenoiserBatch batch) =>
        Transformer.PeakElements(batch.Rows, DefaultSequenceLength + Grid(batch.Height, batch.Width).Tokens, batch.Shares, batch.HasBase);

    internal override long BlockCacheValues(int height, int width) => Transformer.BlockCacheElements(Grid(height, width).Tokens);

    private TokenGrid Grid(int height, int width) => FluxLatents.Grid(height / Vae.SpatialFactor, width / Vae.SpatialFactor);
}
