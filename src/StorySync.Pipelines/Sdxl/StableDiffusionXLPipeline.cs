using System.Text.Json.Serialization;
using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents SDXL (diffusers' <c>StableDiffusionXLPipeline</c>, with image to image and inpainting in the same class).</summary>
public sealed class StableDiffusionXLPipeline : DiffusionPipeline
{
    private readonly SdxlPrompts prompts;
    private readonly TextualInversions inversions;
    private readonly ModelOffload offload;

    internal StableDiffusionXLPipeline(LoadJob job)
        : base(job)
    {
        var (folder, options) = (job.Folder, job.Options);
        var (dtype, variant, home) = (options.Dtype, options.Variant, options.Offload ? CPU : Device);
        var index = folder.Config<Index>("", "model_index.json");
        if (index.RequiresAestheticsScore)
        {
            throw new ModelFileException(
                folder.ReadFile("", "model_index.json").Path,
                    "'requires_aesthetics_score' is true: it is SDXL's refiner, which is not supported; load the base model");
        }

        var tokenizer = ModelParts.LoadClipTokenizer(folder, "tokenizer", "text_encoder");
        var tokenizer2 = ModelParts.LoadClipTokenizer(folder, "tokenizer_2", "text_encoder_2");
        ModelParts.RequireEqual(
            folder, "'model_max_length' of tokenizer", tokenizer.ModelMaxLength, "that of tokenizer_2", tokenizer2.ModelMaxLength);
        TextEncoder = job.Load("text_encoder", part => CLIPTextModel.Load(folder, part, dtype, home, variant));
        TextEncoder2 = job.Load("text_encoder_2", part => CLIPTextModelWithProjection.Load(folder, part, dtype, home, variant));
        UNet = job.Load("unet", part => UNet2DConditionModel.Load(folder, part, dtype, home, variant));
        Vae = job.Load("vae", part => AutoencoderKL.Load(folder, part, dtype, home, variant));
        CheckParts(folder);
        offload = new ModelOffload(options.Offload, Device, TextEncoder, TextEncoder2, UNet, Vae);
        inversions = new TextualInversions(tokenizer, tokenizer2, TextEncoder, TextEncoder2);
        prompts = new SdxlPrompts(inversions, TextEncoder, TextEncoder2, index.ForceZerosForEmptyPrompt);
        int? resnets = UNet.Config.LayersPerBlock.IsList ? null : UNet.Config.LayersPerBlock[0];
        Loras = new LoraAdapters(
            [("unet", UNet, resnets), ("text_encoder", TextEncoder, null), ("text_encoder_2", TextEncoder2, null)]) { ComputeType = dtype };
        Parts = [Loras, inversions, TextEncoder, TextEncoder2, UNet, Vae];
        WeightParts =
        [
            new("text_encoder", TextEncoder, GenerationStage.Encoding),
            new("text_encoder_2", TextEncoder2, GenerationStage.Encoding),
            new("unet", UNet, GenerationStage.Denoising),
            new("vae", Vae, GenerationStage.Decoding) { NeedsFloat32 = Vae.Config.ForceUpcast },
        ];
    }

    /// <summary>Gets the first text encoder's tokenizer, which knows the words of <see cref="TextualInversions"/>.</summary>
    public PromptTokenizer Tokenizer => Alive(inversions).Tokenizers.First;

    /// <summary>Gets the second text encoder's tokenizer.</summary>
    public PromptTokenizer Tokenizer2 => Alive(inversions).Tokenizers.Second;

    /// <summary>Gets the words of the textual inversions that are loaded, with the number of tokens that each takes in a prompt.</summary>
    public IReadOnlyDictionary<string, int> TextualInversions => Alive(inversions).Counts;

    /// <summary>Gets the first text encoder.</summary>
    public CLIPTextModel TextEncoder => Alive(field);

    /// <summary>Gets the second text encoder, which gives the pooled text too.</summary>
    public CLIPTextModelWithProjection TextEncoder2 => Alive(field);

    /// <summary>Gets the denoiser.</summary>
    public UNet2DConditionModel UNet => Alive(field);

    /// <summary>Gets the autoencoder.</summary>
    public AutoencoderKL Vae => Alive(field);

    /// <inheritdoc/>
    public override AttentionProcessors AttentionProcessors => UNet.AttentionProcessors;

    /// <inheritdoc/>
    public override int SizeMultiple => Vae.SpatialFactor;

    private protected override ImageSize DefaultSizeOfClass =>
        ((UNet.Config.SampleSize ?? 128) * Vae.SpatialFactor, (UNet.Config.SampleSize ?? 128) * Vae.SpatialFactor);

    private protected override int DefaultStepsOfClass => 50;

    /// <summary>As in diffusers; 8 where the denoiser is told the guidance scale, as the card of LCM-SDXL recommends.</summary>
    private protected override double DefaultGuidanceScaleOfClass(GenerationRequest request) =>
        EmbedsGuidance ? 8 : request.Mask is null ? 5 : 7.5;

    internal override Type RequestType => typeof(StableDiffusionXLRequest);

    internal override int ConditioningChannels => UNet.Config.InChannels - Vae.Config.LatentChannels;

    /// <summary>Loads the model.</summary>
    /// <inheritdoc cref="DiffusionPipeline.Load"/>
    /// <exception cref="WeightMismatchException">Weights are not those of their configuration.</exception>
    public static new StableDiffusionXLPipeline Load(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        PipelineLoader.Load<StableDiffusionXLPipeline>(model, options, progress, cancellationToken);

    /// <summary>Loads the model on a thread of the pool.</summary>
    /// <inheritdoc cref="Load"/>
    public static new Task<StableDiffusionXLPipeline> LoadAsync(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => Load(model, options, progress, cancellationToken), cancellationToken);

    /// <summary>Loads a textual inversion (diffusers' <c>load_textual_inversion</c>): a word that stands for vectors of both text encoders,
    /// in prompts, negative prompts and the phrases of subjects. It waits until the generations under way are over.</summary>
    /// <param name="path">A safetensors file with the tensors <c>clip_l</c>, (vectors, 768), and <c>clip_g</c>, (vectors, 1280), as
    /// AUTOMATIC1111's web UI, kohya's scripts and diffusers' trainers write it.</param>
    /// <param name="token">The word, <c>&lt;cat-toy&gt;</c> for example, which is found anywhere in a prompt, in any case. Null for the
    /// file's name without its extension.</param>
    /// <returns>The word.</returns>
    /// <exception cref="ModelFileException">The file is missing, damaged, or no textual inversion for this model.</exception>
    /// <exception cref="ArgumentException">The word is empty, or the model has it already.</exception>
    /// <exception cref="InvalidOperationException">A callback of a generation of this pipeline called it.</exception>
    public string LoadTextualInversion(string path, string? token = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        token = (token ?? Path.GetFileNameWithoutExtension(path)).Trim();
        ArgumentException.ThrowIfNullOrEmpty(token);
        using var change = BeginChange();
        inversions.Add(path, token);
        return token;
    }

    /// <summary>Unloads a textual inversion; its word is then read as text.</summary>
    /// <param name="token">The word.</param>
    /// <exception cref="KeyNotFoundException">There is no textual inversion of that word.</exception>
    /// <exception cref="InvalidOperationException">A callback of a generation of this pipeline called it.</exception>
    public void UnloadTextualInversion(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        using var change = BeginChange();
        inversions.Remove(token);
    }

    private protected override IEnumerable<string> InversionIdentities => inversions.Identities;

    internal override void Check(GenerationRequest request)
    {
        var own = request.Own<StableDiffusionXLRequest>();
        var layers = Math.Min(TextEncoder.Config.NumHiddenLayers, TextEncoder2.Config.NumHiddenLayers);
        RequestRules.OneOrEach(own.Prompts2?.Count, request.Prompts.Count, "Prompts2", "prompts");
        RequestRules.OneOrEach(own.NegativePrompts2?.Count, request.Prompts.Count, "NegativePrompts2", "prompts");
        RequestRules.Require(
            ConditioningChannels == 0 || request.Mask is not null,
            $"This model paints over a part of an image (in_channels is {UNet.Config.InChannels}): give Images and a Mask.");
        RequestRules.Require(own.GuidanceRescale is >= 0 and <= 1, $"GuidanceRescale is {own.GuidanceRescale}; it must be from 0 to 1.");
        RequestRules.Require(own.ClipSkip is null || (own.ClipSkip >= 0 && own.ClipSkip < layers),
            $"ClipSkip is {own.ClipSkip}; it must be from 0 to {layers - 1}.");
        RequestRules.Require(Enum.IsDefined(own.PromptSyntax), $"PromptSyntax is {own.PromptSyntax}; it must be Plain, Long or Weighted.");
        RequestRules.Require(
            own.PromptSyntax == PromptSyntax.Plain || Tokenizer.ModelMaxLength > 2,
            $"PromptSyntax is {own.PromptSyntax}, and the model's texts have no room for words: 'model_max_length' of its tokenizers is "
                + $"{Tokenizer.ModelMaxLength}.");
        if (own.PromptSyntax == PromptSyntax.Weighted)
        {
            IReadOnlyList<string>?[] lists = [request.Prompts, request.NegativePrompts, own.Prompts2, own.NegativePrompts2];
            foreach (var prompt in lists.SelectMany(prompts => prompts ?? []))
            {
                PromptMarkup.Parse(prompt);
            }
        }
    }

    private void CheckParts(ModelFolder folder)
    {
        ModelParts.RequireRgb(folder, "vae", Vae.Config);
        foreach (var width in UNet.Config.CrossAttentionDim.Values)
        {
            ModelParts.RequireEqual(folder, "'cross_attention_dim' of unet", width,
                "'hidden_size' of both text encoders together", TextEncoder.Config.HiddenSize + TextEncoder2.Config.HiddenSize);
        }

        if (UNet.Config is { AdditionTimeEmbedDim: { } timeWidth, ProjectionClassEmbeddingsInputDim: { } inputWidth })
        {
            ModelParts.RequireEqual(folder, "'projection_class_embeddings_input_dim' of unet", inputWidth,
                "six times its 'addition_time_embed_dim' plus 'projection_dim' of text_encoder_2",
                    (6L * timeWidth) + TextEncoder2.Config.ProjectionDim);
        }

        ModelParts.RequireEqual(folder, "'out_channels' of unet", UNet.Config.OutChannels, "'latent_channels' of vae",
            Vae.Config.LatentChannels);
        if (ConditioningChannels != 0)
        {
            ModelParts.RequireEqual(folder, "'in_channels' of unet", UNet.Config.InChannels,
                "'latent_channels' of vae, or for inpainting twice as many and one", (2 * Vae.Config.LatentChannels) + 1);
        }
    }

    internal override void Warn(GenerationRequest request, bool guidance, WarningList warnings)
    {
        var own = request.Own<StableDiffusionXLRequest>();
        var off = EmbedsGuidance
            ? " has no effect: this model is told its guidance scale (time_cond_proj_dim), and has no pass with the negative prompt."
            : " has no effect: guidance is off; it is on with a GuidanceScale above 1.";
        warnings.AddIf(request.NegativePrompts is not null && !guidance, "NegativePrompts" + off);
        warnings.AddIf(own.NegativePrompts2 is not null && !guidance, "NegativePrompts2" + off);
        warnings.AddIf(own.GuidanceRescale > 0 && !guidance, "GuidanceRescale" + off);
        var sized = own.NegativeOriginalSize is not null && own.NegativeTargetSize is not null;
        warnings.AddIf(
            !(sized && guidance) && (own.NegativeOriginalSize is not null || own.NegativeTargetSize is not null
                || own.NegativeCropsCoordsTopLeft != default),
            "NegativeOriginalSize, NegativeTargetSize and NegativeCropsCoordsTopLeft have an effect only where both sizes are given and "
                + "guidance is on.");
    }

    internal override IEnumerable<PromptReading> Readings(GenerationRequest request, bool guidance)
    {
        var own = request.Own<StableDiffusionXLRequest>();
        if (own.PromptSyntax != PromptSyntax.Plain)
        {
            yield break;
        }

        yield return Reading("text_encoder", Tokenizer, [.. request.Prompts, .. guidance ? request.NegativePrompts ?? [] : []]);
        yield return Reading(
            "text_encoder_2",
            Tokenizer2,
            [.. own.Prompts2 ?? request.Prompts, .. guidance ? own.NegativePrompts2 ?? request.NegativePrompts ?? [] : []]);

        static PromptReading Reading(string encoder, PromptTokenizer tokenizer, string[] prompts)
        {
            const string Option = $"{nameof(StableDiffusionXLRequest)}.{nameof(PromptSyntax)} ";
            return new(encoder, tokenizer, null, prompts)
            {
                AdviceOnLength = $"{Option}{nameof(PromptSyntax.Long)} reads all of it.",
                AdviceOnWeights = $"{Option}{nameof(PromptSyntax.Weighted)} takes them for weights.",
            };
        }
    }

    internal override TokenEncoding Tokenize(GenerationRequest request, string prompt) => prompts.Tokenize(request, prompt);

    internal override string WordsOf(GenerationRequest request, string phrase) =>
        request.Own<StableDiffusionXLRequest>().PromptSyntax == PromptSyntax.Weighted ? PromptMarkup.WordsOf(phrase) : phrase;

    internal override int TextChunks(GenerationRequest request, bool guidance) => prompts.Chunks(request, guidance);

    internal override long[] LatentShape(int images, int height, int width) =>
        [images, Vae.Config.LatentChannels, height / Vae.SpatialFactor, width / Vae.SpatialFactor];

    internal override PromptEmbeddings Encode(GenerationRequest request, int height, int width, bool guidance,
        CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(TextEncoder);
        using var held2 = offload.Acquire(TextEncoder2);
        var (text, pooled, mask) = prompts.Encode(request, guidance, cancellationToken);
        return new SdxlEmbeddings(
            text, pooled, TimeIds(request, height, width, guidance), mask, EmbeddedGuidance(GuidanceScaleOrDefault(request)));
    }

    internal override bool EmbedsGuidance => UNet.Config.TimeCondProjDim is not null;

    internal override double GuidanceScaleOf(GenerationRequest request) => EmbedsGuidance ? 1 : GuidanceScaleOrDefault(request);

    internal override IDisposable AcquireDenoiser() => offload.Acquire(UNet);

    internal override Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context) =>
        UNet.call(((SdxlEmbeddings)embeddings).Inputs(sample, timestep), context);

    internal override Tensor Guide(Tensor prediction, GenerationRequest request, double scale) =>
        ClassifierFreeGuidance.Apply(prediction, scale, request.Own<StableDiffusionXLRequest>().GuidanceRescale);

    internal override Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Vae);
        return Vae.EncodeImages(images, noise, Options, cancellationToken);
    }

    internal override Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken)
    {
        using var held = offload.Acquire(Vae);
        return Vae.DecodeImages(latents, Options, cancellationToken);
    }

    internal override IReadOnlyList<ModelPart> WeightParts => Alive(field);

    internal override long TextValues => Tokenizer.ModelMaxLength * (long)UNet.Config.CrossAttentionDim[0];

    internal override ConvolutionalAutoencoderConfig DecoderConfig => Vae.Config;

    internal override int? TileSize => Vae.TileSize;

    internal override ActivationPeak TextPeak(long rows) =>
        TextPeaks.Largest("text_encoder", TextEncoder.Config, rows, Tokenizer.ModelMaxLength)
        .Or(TextPeaks.Largest("text_encoder_2", TextEncoder2.Config, rows, Tokenizer2.ModelMaxLength));

    internal override ActivationPeak DenoiserPeak(DenoiserBatch batch) =>
        UNet.PeakElements(
            batch.Rows, batch.Height / Vae.SpatialFactor, batch.Width / Vae.SpatialFactor, batch.UsesCpuKernels);

    internal override long ImageTokens(AttentionLayer layer, int height, int width) => UNetLevels.TokensOf(
        layer, UNet.Config.BlockOutChannels.Count, height / Vae.SpatialFactor, width / Vae.SpatialFactor);

    internal override long BlockCacheValues(int height, int width) =>
        UNet.BlockCacheElements(height / Vae.SpatialFactor, width / Vae.SpatialFactor);

    /// <summary>The guidance scale as latent consistency models are told it (diffusers' <c>get_guidance_scale_embedding</c>), (1,
    /// time_cond_proj_dim); null for other models.</summary>
    private Tensor? EmbeddedGuidance(double scale)
    {
        if (UNet.Config.TimeCondProjDim is not { } width)
        {
            return null;
        }

        using var embedding = new Timesteps(width, flipSinToCos: false, frequencyShift: 1);
        return Scoped(() => embedding.call(tensor([(float)(scale - 1) * 1000], device: Device)).to(Options.Dtype));
    }

    private Tensor TimeIds(GenerationRequest request, int height, int width, bool guidance)
    {
        var own = request.Own<StableDiffusionXLRequest>();
        static double[] Ids(ImageSize original, ImagePoint crop, ImageSize target) =>
            [original.Height, original.Width, crop.Top, crop.Left, target.Height, target.Width];

        var images = request.Prompts.Count * request.ImagesPerPrompt;
        var positive = Ids(own.OriginalSize ?? (height, width), own.CropsCoordsTopLeft, own.TargetSize ?? (height, width));
        var negative = own.NegativeOriginalSize is { } original && own.NegativeTargetSize is { } target
            ? Ids(original, own.NegativeCropsCoordsTopLeft, target)
            : positive;

        // diffusers repeats the pair as a whole, so that with several images the rows alternate while those of the text do not;
        // the images are to be the same.
        using var scope = NewDisposeScope();
        double[] rows = guidance ? [.. negative, .. positive] : positive;
        return tensor(rows, [rows.Length / 6, 6], dtype: Options.Dtype, device: Device).repeat(images, 1).MoveToOuterDisposeScope();
    }

    /// <summary>The settings in <c>model_index.json</c>.</summary>
    private sealed record Index
    {
        [JsonPropertyName("force_zeros_for_empty_prompt")]
        public bool ForceZerosForEmptyPrompt { get; init; } = true;

        [JsonPropertyName("requires_aesthetics_score")]
        public bool RequiresAestheticsScore { get; init; }
    }
}
