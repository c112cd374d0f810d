using StorySync.Attention;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

// What an architecture says of itself: what is abstract differs from model to model, what is virtual has what most do.
public abstract partial class DiffusionPipeline
{
    /// <summary>The steps in diffusers' pipeline of this class.</summary>
    private protected abstract int DefaultStepsOfClass { get; }

    /// <summary>Height and width in diffusers' pipeline of this class.</summary>
    private protected abstract ImageSize DefaultSizeOfClass { get; }

    /// <summary>The techniques as they suit the models of this class.</summary>
    private protected virtual StoryAttentionOptions TechniquesOfClass => StoryAttentionOptions.Default;

    /// <summary>The guidance scale in diffusers' pipeline of this class for the request's task.</summary>
    private protected abstract double DefaultGuidanceScaleOfClass(GenerationRequest request);

    /// <summary>A request's settings with what only this architecture has, where the request names none.</summary>
    internal virtual GenerationRequest Settle(GenerationRequest request) => request;

    /// <summary>The image-to-image strength of a request.</summary>
    internal virtual double StrengthOf(GenerationRequest request) => request.Strength ?? (request.Mask is null ? 0.3 : 0.9999);

    /// <summary>Whether the model was trained by flow matching.</summary>
    private protected virtual bool IsFlowMatching => false;

    /// <summary>The type of the requests that are for this architecture.</summary>
    internal virtual Type RequestType => typeof(GenerationRequest);

    /// <summary>Checks what only this architecture can check of a request, before any work.</summary>
    /// <exception cref="ArgumentException">The request is invalid.</exception>
    internal virtual void Check(GenerationRequest request)
    {
    }

    /// <summary>Adds warnings for options without effect that only this architecture can detect.</summary>
    /// <param name="request">The request.</param>
    /// <param name="guidance">Whether guidance is on.</param>
    /// <param name="warnings">Where to tell it.</param>
    internal virtual void Warn(GenerationRequest request, bool guidance, WarningList warnings)
    {
    }

    /// <summary>Which tokenizer reads which prompts, and how many tokens its encoder takes.</summary>
    internal abstract IEnumerable<PromptReading> Readings(GenerationRequest request, bool guidance);

    /// <summary>A prompt as the tokens that the denoiser's attention reads.</summary>
    internal abstract TokenEncoding Tokenize(GenerationRequest request, string prompt);

    /// <summary>What tells the words apart that the text encoders were taught.</summary>
    private protected virtual IEnumerable<string> InversionIdentities => [];

    /// <summary>A phrase without the marks that a request's prompts may have.</summary>
    internal virtual string WordsOf(GenerationRequest request, string phrase) => phrase;

    /// <summary>How many times <see cref="TextValues"/> the encoded prompts of a row are.</summary>
    internal virtual int TextChunks(GenerationRequest request, bool guidance) => 1;

    /// <summary>Whether attention keys carry rotary positions.</summary>
    internal virtual bool HasRotaryPositions => false;

    /// <summary>The height or width that images have when this one is asked for.</summary>
    internal virtual int RoundSide(int asked) => asked;

    /// <summary>The shape of the latents of so many images.</summary>
    internal abstract long[] LatentShape(int images, int height, int width);

    /// <summary>Channels that the denoiser reads after the latents': mask and masked image in inpainting models, else 0.</summary>
    internal virtual int ConditioningChannels => 0;

    /// <summary>Noise in the shape of the latents.</summary>
    internal virtual Tensor DrawNoise(NoiseSource noise, int images, int height, int width) =>
        noise(empty(LatentShape(images, height, width), dtype: Options.Dtype, device: Device));

    /// <summary>A mask, (1, 1, height, width), for the latents of an image: the pixel at the corner of each cell, as in
    /// diffusers.</summary>
    internal virtual Tensor MaskLatents(Tensor mask, int height, int width) =>
        nn.functional.interpolate(mask, LatentShape(1, height, width)[2..], mode: InterpolationMode.Nearest);

    /// <summary>Latents as an autoencoder has them, (rows, channels, height, width).</summary>
    internal virtual Tensor Unpack(Tensor latents, int height, int width) => latents.alias();

    /// <summary>Plans the steps.</summary>
    internal virtual SchedulePlan Plan(Scheduler scheduler, int steps, int height, int width, bool fromImages) =>
        scheduler.CreatePlan(steps);

    /// <summary>The index of the first model call for an image-to-image strength.</summary>
    internal virtual int BeginIndex(SchedulePlan plan, double strength) => plan.BeginIndex(strength);

    /// <summary>Whether the denoiser is told the guidance scale, in place of two passes that are joined by it.</summary>
    internal virtual bool EmbedsGuidance => false;

    /// <summary>The scale by which the halves of a prediction are joined.</summary>
    internal virtual double GuidanceScaleOf(GenerationRequest request) => GuidanceScaleOrDefault(request);

    /// <summary>Encodes the prompts of a generation: one row per image; with guidance the negative ones first.</summary>
    internal abstract PromptEmbeddings Encode(GenerationRequest request, int height, int width, bool guidance,
        CancellationToken cancellationToken);

    /// <summary>Loads the denoiser onto the device. Dispose the result to release it.</summary>
    internal abstract IDisposable AcquireDenoiser();

    /// <summary>The denoiser's prediction, while it is held.</summary>
    internal abstract Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context);

    /// <summary>Joins the negative and the positive half of a prediction.</summary>
    internal abstract Tensor Guide(Tensor prediction, GenerationRequest request, double scale);

    /// <summary>Images, (rows, 3, height, width) in [−1, 1], to latents as the denoiser takes them.</summary>
    internal abstract Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken);

    /// <summary>Latents to images, (rows, 3, height, width) in [0, 1].</summary>
    internal abstract Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken);

    /// <summary>The model's parts that have weights, in the order in which they work.</summary>
    internal abstract IReadOnlyList<ModelPart> WeightParts { get; }

    /// <summary>Values of the encoded prompt of a row, of one chunk.</summary>
    internal abstract long TextValues { get; }

    /// <summary>The sizes of the autoencoder that decodes.</summary>
    internal abstract ConvolutionalAutoencoderConfig DecoderConfig { get; }

    /// <summary>Whether images can be decoded in tiles.</summary>
    internal virtual bool DecodesTiles => true;

    /// <summary>Height and width of a tile where images are decoded in tiles; null where they cannot be.</summary>
    internal virtual int? TileSize => null;

    /// <summary>Whether the denoiser's blocks can be brought to the device one by one.</summary>
    internal virtual bool StreamsBlocks => false;

    /// <summary>The peak of encoding so many prompts.</summary>
    internal abstract ActivationPeak TextPeak(long rows);

    /// <summary>The peak of a step.</summary>
    internal abstract ActivationPeak DenoiserPeak(DenoiserBatch batch);

    /// <summary>The image tokens of an attention layer, in a row.</summary>
    internal abstract long ImageTokens(AttentionLayer layer, int height, int width);

    /// <summary>Values that a block cache keeps of a row.</summary>
    internal abstract long BlockCacheValues(int height, int width);
}
