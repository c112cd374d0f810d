using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A text-to-image model with all its parts: prompts in, pictures out. Each architecture is one subclass.</summary>
/// <remarks>A pipeline keeps nothing of a run, so that any number of runs can use it at once, on any threads.</remarks>
public abstract class DiffusionPipeline : IDisposable
{
    private protected DiffusionPipeline(Scheduler scheduler, PipelineOptions options)
    {
        Scheduler = scheduler;
        Options = options;
        Device = options.ResolveDevice();
    }

    /// <summary>How the model was loaded.</summary>
    public PipelineOptions Options { get; }

    /// <summary>Where the model computes.</summary>
    public Device Device { get; }

    /// <summary>Turns noise into latents step by step; replace it to sample in another way.</summary>
    public Scheduler Scheduler { get; set; }

    /// <summary>Decodes previews; null decodes them with the model's own, slower autoencoder. Freed with the pipeline.</summary>
    public AutoencoderTiny? PreviewDecoder { get; set; }

    /// <summary>What goes with the pipeline, in the order in which it is freed.</summary>
    private protected IReadOnlyList<IDisposable> Parts { get; init; } = [];

    /// <summary>The attention processors of the denoiser, by layer.</summary>
    public abstract AttentionProcessors AttentionProcessors { get; }

    /// <summary>Steps of a run that does not say how many.</summary>
    public abstract int DefaultSteps { get; }

    /// <summary>Guidance scale of a run that does not name one.</summary>
    public abstract double DefaultGuidanceScale { get; }

    /// <summary>Height and width in pixels of a run that does not name them.</summary>
    public abstract (int Height, int Width) DefaultSize { get; }

    /// <summary>Height and width must be multiples of it.</summary>
    public abstract int SizeMultiple { get; }

    /// <summary>The techniques of a story that does not say which: their strengths, layers and steps as they suit the model.</summary>
    public virtual StoryAttentionOptions DefaultTechniques => new();

    /// <summary>Loads a model of any architecture that this library knows.</summary>
    /// <param name="model">A folder in diffusers' layout, <c>storybook</c> for the embedded model, or <c>organisation/name</c> in the
    /// Hugging Face cache.</param>
    /// <param name="options">Device, type and files; null for the defaults.</param>
    /// <exception cref="StorySync.Diffusion.Weights.ModelFileException">The model is nowhere to be found, damaged or of an unknown
    /// architecture.</exception>
    public static DiffusionPipeline Load(string model, PipelineOptions? options = null) => PipelineLoader.Load(model, options ?? new());

    /// <summary>Generates pictures: from noise, from other pictures (image to image), or in a part of them (inpainting).</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="cancellationToken">Stops the run between layers.</param>
    /// <exception cref="ArgumentException">The request is no good; nothing was computed.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public GenerationResult Generate(
        GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return new Generation(this, request, progress, cancellationToken).Run();
    }

    /// <summary>Generates pictures on another thread.</summary>
    /// <inheritdoc cref="Generate"/>
    public Task<GenerationResult> GenerateAsync(
        GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => Generate(request, progress, cancellationToken), cancellationToken);

    /// <summary>Tells what memory a run will take and what would make it less. Nothing is computed, and no weight is read.</summary>
    /// <param name="request">What would be generated.</param>
    /// <param name="options">How the model would be loaded; null for how it is. So a model that is loaded on the CPU in the type of its
    /// file, which takes no memory, tells what it would take elsewhere.</param>
    /// <exception cref="ArgumentException">The request is no good.</exception>
    public MemoryPlan PlanMemory(GenerationRequest request, PipelineOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        return new Generation(this, request, null, CancellationToken.None).PlanMemory(options);
    }

    /// <summary>Frees the models.</summary>
    public void Dispose()
    {
        foreach (var part in Parts)
        {
            part.Dispose();
        }

        PreviewDecoder?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Checks what only this architecture can check of a request, before any work.</summary>
    /// <exception cref="ArgumentException">The request is no good.</exception>
    internal virtual void Check(GenerationRequest request)
    {
    }

    /// <summary>A prompt as the tokens that the denoiser's attention reads.</summary>
    internal abstract TokenEncoding Tokenize(string prompt);

    /// <summary>The height or width that pictures have when this one is asked for.</summary>
    internal virtual int PictureSide(int asked) => asked;

    /// <summary>The shape of the latents of so many pictures.</summary>
    internal abstract long[] LatentShape(int pictures, int height, int width);

    /// <summary>Channels that the denoiser reads behind the latents: mask and masked picture in inpainting models, else 0.</summary>
    internal virtual int ExtraChannels => 0;

    /// <summary>Noise in the shape of the latents.</summary>
    internal virtual Tensor DrawNoise(NoiseSource noise, int pictures, int height, int width) =>
        noise(empty(LatentShape(pictures, height, width), dtype: Options.Dtype, device: Device));

    /// <summary>Latents as an autoencoder has them, (rows, channels, height, width).</summary>
    internal virtual Tensor Unpack(Tensor latents, int height, int width) => latents.alias();

    /// <summary>Plans the steps.</summary>
    internal virtual SchedulePlan Plan(int steps, int height, int width) => Scheduler.CreatePlan(steps);

    /// <summary>The model call to begin with when a picture is made anew by so much.</summary>
    internal virtual int BeginIndex(SchedulePlan plan, double strength) => plan.BeginIndex(strength);

    /// <summary>The scale by which the halves of an answer are joined.</summary>
    internal virtual double GuidanceScaleOf(GenerationRequest request) => request.GuidanceScale ?? DefaultGuidanceScale;

    /// <summary>Encodes the prompts of a run: a row a picture; with guidance the negative ones first.</summary>
    internal abstract PromptEmbeddings Encode(GenerationRequest request, int height, int width, bool guidance, CancellationToken cancellationToken);

    /// <summary>Has the denoiser on the device until the result is disposed.</summary>
    internal abstract IDisposable? HoldDenoiser();

    /// <summary>The denoiser's answer, while it is held.</summary>
    internal abstract Tensor Predict(Tensor sample, Tensor timestep, PromptEmbeddings embeddings, DenoisingContext context);

    /// <summary>Joins the negative and the positive half of an answer.</summary>
    internal abstract Tensor Guide(Tensor prediction, GenerationRequest request, double scale);

    /// <summary>Pictures, (rows, 3, height, width) in [−1, 1], to latents as the denoiser takes them.</summary>
    internal abstract Tensor EncodeImages(Tensor images, NoiseSource noise, CancellationToken cancellationToken);

    /// <summary>Latents to pictures, (rows, 3, height, width) in [0, 1].</summary>
    internal abstract Tensor DecodeLatents(Tensor latents, int height, int width, CancellationToken cancellationToken);

    /// <summary>The model's parts that have weights, in the order in which they work.</summary>
    internal abstract IReadOnlyList<ModelPart> WeightParts { get; }

    /// <summary>Values of the encoded prompt of a row.</summary>
    internal abstract long TextValues { get; }

    /// <summary>The sizes of the autoencoder that decodes.</summary>
    internal abstract ConvolutionalAutoencoderConfig DecoderConfig { get; }

    /// <summary>Height and width of a tile where pictures are decoded in tiles; null where they cannot be.</summary>
    internal virtual int? TileSize => null;

    /// <summary>Whether the denoiser's blocks can be brought to the device one by one.</summary>
    internal virtual bool StreamsBlocks => false;

    /// <summary>The largest moment of encoding so many prompts.</summary>
    internal abstract ActivationPeak TextMoment(long rows);

    /// <summary>The largest moment of a step.</summary>
    internal abstract ActivationPeak DenoiserMoment(DenoiserBatch batch);

    /// <summary>Values that a block cache keeps of a row.</summary>
    internal abstract long BlockCacheValues(int height, int width);
}
