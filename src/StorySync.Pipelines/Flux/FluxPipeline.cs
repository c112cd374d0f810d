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
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents FLUX.1, schnell and dev (diffusers' <c>FluxPipeline</c>, <c>FluxImg2ImgPipeline</c> and
/// <c>FluxInpaintPipeline</c>).</summary>
/// <remarks>Latents are the denoiser's tokens, (rows, tokens, channels), from the first step to the last: see
/// <see cref="FluxLatents"/>.</remarks>
public sealed class FluxPipeline : DiffusionPipeline
{
    private const int LongestSequenceOfClass = 512;

    private readonly FluxPrompts prompts;
    private readonly ModelOffload offload;

    internal FluxPipeline(LoadJob job)
        : base(job)
    {
        var (folder, denoiser, options) = (job.Folder, job.Denoiser, job.Options);
        var (dtype, variant, home) = (options.Dtype, options.Variant, options.Offload ? CPU : Device);
        Tokenizer = ModelParts.LoadClipTokenizer(folder, "tokenizer", "text_encoder");
        Tokenizer2 = ModelParts.LoadT5Tokenizer(folder, "tokenizer_2", "text_encoder_2");
        TextEncoder = job.Load("text_encoder", part => CLIPTextModel.Load(folder, part, dtype, home, variant));
        TextEncoder2 = job.Load("text_encoder_2", part => T5EncoderModel.Load(folder, part, dtype, home, variant));
        Transformer = job.Load("transformer", part =>
            FluxTransformer2DModel.Load(denoiser, part, dtype, options.StreamBlocks ? Device : home, variant, options.StreamBlocks));
        Vae = job.Load("vae", part => AutoencoderKL.Load(folder, part, dtype, home, variant));
        ModelParts.RequireRgb(folder, "vae", Vae.Config);
        ModelParts.RequireEqual(
            folder, "'joint_attention_dim' of transformer", Transformer.Config.JointAttentionDim, "'d_model' of text_encoder_2",
                TextEncoder2.Config.DModel);
        ModelParts.RequireEqual(
            folder, "'pooled_projection_dim' of transformer", Transformer.Config.PooledProjectionDim, "'hidden_size' of text_encoder",
                TextEncoder.Config.HiddenSize);
        ModelParts.RequireEqual(
            folder, "'in_channels' of transformer", Transformer.Config.InChannels, "four times 'latent_channels' of vae",
                4L * Vae.Config.LatentChannels);
        if (Transformer.Config.AxesDimsRope is { Count: not FluxLatents.Axes } axes)
        {
            throw new ModelFileException(
                denoiser.FilePath("transformer", "config.json"),
                $"'axes_dims_rope' has {axes.Count} entries; it must have {FluxLatents.Axes}, for the axes of the position of a token");
        }

        prompts = new FluxPrompts(Tokenizer, Tokenizer2, TextEncoder, TextEncoder2);
        Loras = new LoraAdapters([("transformer", Transformer, null), ("text_encoder", TextEncoder, null)]) { ComputeType = dtype };
        Parts = [Loras, TextEncoder, TextEncoder2, Transformer, Vae];
        WeightParts =
        [
            new("text_encoder", TextEncoder, GenerationStage.Encoding),
            new("text_encoder_2", TextEncoder2, GenerationStage.Encoding),
            new("transformer", Transformer, GenerationStage.Denoising),
            new("vae", Vae, GenerationStage.Decoding) { NeedsFloat32 = Vae.Config.ForceUpcast },
        ];
        offload = new ModelOffload(options.Offload, Device,
            [TextEncoder, TextEncoder2, Vae, .. options.StreamBlocks ? [] : (nn.Module[])[Transformer]]);
    }

    /// <summary>Gets CLIP's tokenizer.</summary>
    public PromptTokenizer Tokenizer => Alive(field);

    /// <summary>Gets T5's tokenizer.</summary>
    public PromptTokenizer Tokenizer2 => Alive(field);

    /// <summary>Gets CLIP, which gives the pooled text.</summary>
    public CLIPTextModel TextEncoder => Alive(field);

    /// <summary>Gets T5, which gives the text tokens.</summary>
    public T5EncoderModel TextEncoder2 => Alive(field);

    /// <summary>Gets the denoiser.</summary>
    public FluxTransformer2DModel Transformer => Alive(field);

    /// <summary>Gets the autoencoder.</summary>
    public AutoencoderKL Vae => Alive(field);

    /// <inheritdoc/>
    public override AttentionProcessors AttentionProcessors => Transformer.AttentionProcessors;

    /// <summary>Gets the scale of real guidance of a generation that does not name one: the model's own (<c>true_cfg_scale</c> in its
    /// <c>storysync.json</c>), or else 1, which is off. A model that has one of its own is guided away from the empty prompt where a
    /// request has no negative prompts.</summary>
    public double DefaultTrueCfgScale => TrueCfgScaleOfModel ?? 1;

    /// <inheritdoc/>
    public override int SizeMultiple => 2 * Vae.SpatialFactor;

    private bool IsDistilledToFewSteps => !Transformer.Config.GuidanceEmbeds;

    private int LongestSequence => Math.Min(LongestSequenceOfClass, Tokenizer2.ModelMaxLength);

    private int DefaultSequenceLength => IsDistilledToFewSteps ? Math.Min(256, LongestSequence) : LongestSequence;

    /// <summary>Loads the model.</summary>
    /// <inheritdoc cref="DiffusionPipeline.Load"/>
    /// <exception cref="WeightMismatchException">Weights are not those of their configuration.</exception>
    public static new FluxPipeline Load(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        PipelineLoader.Load<FluxPipeline>(model, options, progress, cancellationToken);

    /// <summary>Loads the model on a thread of the pool.</summary>
    /// <inheritdoc cref="Load"/>
    public static new Task<FluxPipeline> LoadAsync(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => Load(model, options, progress, cancellationToken), cancellationToken);

    /// <summary>28 as in diffusers; 4 for a model without guidance embedding (schnell), which was distilled to few steps.</summary>
    private protected override int DefaultStepsOfClass => IsDistilledToFewSteps ? 4 : 28;

    private protected override ImageSize DefaultSizeOfClass => (128 * Vae.SpatialFactor, 128 * Vae.SpatialFactor);

    /// <summary>Sharing and harmonization in the blocks that attend by content and not by position, masks from the later double blocks. For
    /// a model without guidance embedding (schnell), whose few steps settle an image early, masks are available within the first step,
    /// and the windows are made for four steps.</summary>
    private protected override StoryAttentionOptions TechniquesOfClass =>
        FluxTechniques.For(Transformer.Config, IsDistilledToFewSteps).Over(StoryAttentionOptions.Default);

    private protected override double DefaultGuidanceScaleOfClass(GenerationRequest request) => request.Images is null ? 3.5 : 7;

    internal override double StrengthOf(GenerationRequest request) => request.Strength ?? 0.6;

    internal override Type RequestType => typeof(FluxRequest);

    private protected override bool IsFlowMatching => true;

    internal override bool HasRotaryPositions => true;

    internal override void Check(GenerationRequest request)
    {
        var own = request.Own<FluxRequest>();
        RequestRules.OneOrEach(own.Prompts2?.Count, request.Prompts.Count, "Prompts2", "prompts");
        RequestRules.OneOrEach(own.NegativePrompts2?.Count, request.Prompts.Count, "NegativePrompts2", "prompts");
        RequestRules.Require(
            own.TrueCfgScale is null || double.IsFinite(own.TrueCfgScale.Value),
            $"TrueCfgScale is {own.TrueCfgScale}; it must be a number.");
        RequestRules.Require(
            own.MaxSequenceLength is null || (own.MaxSequenceLength >= 1 && own.MaxSequenceLength <= LongestSequence),
            $"MaxSequenceLength is {own.MaxSequenceLength}; it must be from 1 to {LongestSequence}"
                + (LongestSequence < LongestSequenceOfClass ? ", the model_max_length of tokenizer_2." : "."));
    }

    internal override void Warn(GenerationRequest request, bool guidance, WarningList warnings)
    {
        var own = request.Own<FluxRequest>();
        warnings.AddIf(
            request.GuidanceScale is not null && !Transformer.Config.GuidanceEmbeds,
            "GuidanceScale has no effect: this model (schnell) has no guidance embedding.");
        warnings.AddIf(
            request.NegativePrompts is not null && !guidance,
            "NegativePrompts has no effect: on FLUX it takes real guidance, FluxRequest.TrueCfgScale above 1.");
        warnings.AddIf(
            own.TrueCfgScale > 1 && Negatives(request) is null,
            "TrueCfgScale has no effect: there are no NegativePrompts to guide away from.");
        warnings.AddIf(own.NegativePrompts2 is not null
            && !guidance, "NegativePrompts2 has no effect: it takes NegativePrompts and a TrueCfgScale above 1.");
    }

    internal override IEnumerable<PromptReading> Readings(GenerationRequest request, bool guidance)
    {
        var own = request.Own<FluxRequest>();
        yield return new("text_encoder", Tokenizer, null, [.. request.Prompts, .. guidance ? Negatives(request)! : []]);
        yield return new(
            "text_encoder_2",
            Tokenizer2,
            SequenceLength(request),
            [.. own.Prompts2 ?? request.Prompts, .. guidance ? own.NegativePrompts2 ?? Negatives(request)! : []]);
    }

    internal override TokenEncoding Tokenize(GenerationRequest request, string prompt) =>
        Tokenizer2.EncodePadded(prompt, SequenceLength(request));

    internal override long[] LatentShape(int images, int height, int width) =>
        [images, Grid(height, width).Tokens, Transformer.Config.InChannels];

    /// <summary>Noise is drawn in the autoencoder's layout, so that a seed stands for the image that diffusers makes of it.</summary>
    internal override Tensor DrawNoise(NoiseSource noise, int images, int height, int width)
    {
        using var scope = NewDisposeScope();
        long[] shape = [images, Transformer.Config.InChannels / 4, height / Vae.SpatialFactor, width / Vae.SpatialFactor];
        return FluxLatents.Pack(noise(empty(shape, dtype: Options.Dtype, device: Device))).MoveToOuterDisposeScope();
    }

    internal override Tensor MaskLatents(Tensor mask, int height, int width)
    {
        using var scope = NewDisposeScope();
        long[] cells = [height / Vae.SpatialFactor, width / Vae.SpatialFactor];
        var latents = nn.functional.interpolate(mask, cells, mode: InterpolationMode.Nearest);
        return FluxLatents.Pack(latents.expand(-1, Transformer.Config.InChannels / 4, -1, -1)).MoveToOuterDisposeScope();
    }

    internal override Tensor Unpack(Tensor latents, int height, int width) => FluxLatents.Unpack(latents, Grid(height, width));

    /// <summary>Even steps from all noise to the last step's, shifted by the number of tokens where the scheduler shifts by it. As in
    /// diffusers, UniPC takes those steps for image to image alone, and else its own; DPM-Solver takes none.</summary>
    internal override SchedulePlan Plan(Scheduler scheduler, int steps, int height, int width, bool fromImages)
    {
        var even = scheduler is FlowMatchEulerDiscreteScheduler || (scheduler is UniPCMultistepScheduler && fromImages);
        return scheduler.CreatePlan(new ScheduleOptions
        {
            Steps = even ? null : steps,
            Sigmas = even ? [.. Enumerable.Range(0, steps).Select(i => (double)(steps - i) / steps)] : null,
            Mu = scheduler.MuOf(Grid(height, width).Tokens),
        });
    }

    /// <summary>Other than SDXL's, FLUX's pipeline in diffusers makes a step that the strength covers in part.</summary>
    internal override int BeginIndex(SchedulePlan plan, double strength) =>
        Math.Min((int)(plan.Steps - Math.Min(plan.Steps * strength, plan.Steps)), plan.Steps - 1) * plan.Order;

    internal override double GuidanceScaleOf(GenerationRequest request) =>
        Negatives(request) is null ? 1 : TrueCfgScaleOf(request);

    internal override GenerationRequest Settle(GenerationRequest request) =>
        request is FluxRequest own ? own with { TrueCfgScale = TrueCfgScaleOf(request) } : request;

    internal override PromptEmbeddings Encode(GenerationRequest request, int height, int width, bool guidance,
        CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(TextEncoder);
        using var held2 = offload.Acquire(TextEncoder2);
        var length = SequenceLength(request);
        var (text, pooled) = prompts.Encode(request, length, guidance ? Negatives(request) : null, cancellationToken);
        var grid = Grid(height, width);
        return new FluxEmbeddings(
            text,
            pooled,
            Transformer.Config.GuidanceEmbeds ? tensor((float)GuidanceScaleOrDefault(request), device: Device) : null,
            Transformer.EmbedPositions(FluxLatents.TextIds(length), FluxLatents.ImageIds(grid)).To(Device),
            grid);
    }

    internal override IDisposable AcquireDenoiser() => offload.Acquire(Transformer);

    internal override Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context) =>
        Transformer.call(((FluxEmbeddings)embeddings).Inputs(sample, timestep), context);

    internal override Tensor Guide(Tensor prediction, GenerationRequest request, double scale) =>
        ClassifierFreeGuidance.Apply(prediction, scale);

    internal override Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Vae);
        return Scoped(() => FluxLatents.Pack(Vae.EncodeImages(images, noise, Options, cancellationToken)));
    }

    internal override Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Vae);
        return Scoped(() => Vae.DecodeImages(Unpack(latents, height, width), Options, cancellationToken));
    }

    internal override IReadOnlyList<ModelPart> WeightParts => Alive(field);

    internal override long TextValues => DefaultSequenceLength * (long)Transformer.Config.JointAttentionDim;

    internal override ConvolutionalAutoencoderConfig DecoderConfig => Vae.Config;

    internal override int? TileSize => Vae.TileSize;

    internal override bool StreamsBlocks => true;

    internal override ActivationPeak TextPeak(long rows) =>
        TextPeaks.Largest("text_encoder_2", TextEncoder2.Config, rows, DefaultSequenceLength);

    internal override ActivationPeak DenoiserPeak(DenoiserBatch batch) =>
        Transformer.PeakElements(batch.Rows, DefaultSequenceLength + Grid(batch.Height, batch.Width).Tokens, batch.Shares, batch.HasBase);

    internal override long ImageTokens(AttentionLayer layer, int height, int width) => Grid(height, width).Tokens;

    internal override long BlockCacheValues(int height, int width) => Transformer.BlockCacheElements(Grid(height, width).Tokens);

    private double TrueCfgScaleOf(GenerationRequest request) => request.Own<FluxRequest>().TrueCfgScale ?? DefaultTrueCfgScale;

    /// <summary>What real guidance leads away from: as in diffusers nothing without negative prompts, which turns it off, but on a model
    /// that names a scale of its own the empty prompt.</summary>
    private IReadOnlyList<string>? Negatives(GenerationRequest request) =>
        request.NegativePrompts ?? (TrueCfgScaleOfModel is null ? null : [""]);

    private int SequenceLength(GenerationRequest request) => request.Own<FluxRequest>().MaxSequenceLength ?? DefaultSequenceLength;

    private TokenGrid Grid(int height, int width) => FluxLatents.Grid(height / Vae.SpatialFactor, width / Vae.SpatialFactor);
}
