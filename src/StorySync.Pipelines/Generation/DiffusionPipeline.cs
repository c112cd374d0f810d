using System.Globalization;
using System.Runtime.InteropServices;
using StorySync.Attention;
using StorySync.Diffusion;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents a text-to-image model with all its parts: prompts in, images out. Each architecture is one subclass.</summary>
/// <remarks>Any number of generations can use a pipeline at the same time, on any threads: what belongs to one is kept by itself. Changes
/// of <see cref="Loras"/>, and a generation with <see cref="GenerationRequest.LoraScales"/>, wait until the generations under way are over,
/// and those that come later wait for them. <see cref="Dispose"/> cancels them and waits for them; afterwards
/// every member that uses the model throws <see cref="ObjectDisposedException"/>.</remarks>
public abstract partial class DiffusionPipeline : IDisposable
{
    private readonly RunGate runs;
    private readonly ModelSettings settings;
    private readonly IReadOnlyList<ModelFolder> folders;
    private readonly WarningList warnings;
    private string? identity;

    /// <param name="job">What is loaded.</param>
    private protected DiffusionPipeline(LoadJob job)
    {
        var options = job.Options;
        Options = options;
        Device = options.ResolveDevice();
        settings = ModelSettings.Of(job.Folder);
        ModelName = job.Folder.Name;
        folders = job.Folders;
        foreach (var folder in folders)
        {
            folder.MapsWeights = options.MapWeights;
            folder.RoundsWeights = RoundsWeights;
        }

        runs = new RunGate(GetType());
        warnings = new WarningList(options.Logger);
        WarnOfOptions(job.Folder);
        Training = IsFlowMatching ? ModelTraining.ByFlowMatching : ModelTraining.Read(job.Denoiser);
        Scheduler = ModelParts.LoadScheduler(job.Denoiser, options.Scheduler, Training.PredictionType);
        ChoosePreset(job.Folder);
    }

    /// <summary>Gets how the model was loaded.</summary>
    public PipelineOptions Options { get; }

    /// <summary>Gets the device on which the model runs.</summary>
    public Device Device { get; }

    /// <summary>Gets or sets the scheduler of generations that do not name one.</summary>
    /// <exception cref="ArgumentNullException">The value is null.</exception>
    public Scheduler Scheduler
    {
        get => Alive(field);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            field = Alive(value);
        }
    }

    /// <summary>Gets or sets the preset of generations that do not name one; null for none. A model is loaded with the one that its folder
    /// says: <c>preset</c> in its <c>storysync.json</c>, or a scheduler that only models distilled to few steps have (<c>LCMScheduler</c>,
    /// <c>TCDScheduler</c>). A warning reports it.</summary>
    /// <exception cref="ArgumentException">A member of the value is out of its range, or the model was trained by flow
    /// matching.</exception>
    public SamplingPreset? Preset
    {
        get => Alive(field);
        set
        {
            value?.Check(nameof(Preset));
            RequirePresets(value);
            field = Alive(value);
        }
    }

    /// <summary>Gets or sets the decoder of previews; null paints them by a linear fit, at the size of the latents, where the model has
    /// one. Disposed with the pipeline.</summary>
    /// <exception cref="ArgumentException">The value is for other latents.</exception>
    public AutoencoderTiny? PreviewDecoder
    {
        get => Alive(field);
        set
        {
            var latents = Alive(DecoderConfig).LatentChannels;
            RequestRules.Require(
                value is null || value.Config is { OutChannels: 3 } own && own.LatentChannels == latents,
                $"The PreviewDecoder makes images of {value?.Config.OutChannels} channels from latents of {value?.Config.LatentChannels}; "
                    + $"this model needs one that makes images of 3 from latents of {latents}.");
            field = value;
        }
    }

    /// <summary>Gets the LoRAs on the denoiser and, where the model's kind has them there, on the text encoders.</summary>
    public LoraAdapters Loras
    {
        get => Alive(field);
        private protected init
        {
            field = value;
            value.Gate = runs;
            value.CheckFiles = ThrowIfFilesChanged;
        }
    } = null!;

    /// <summary>The components owned by the pipeline, in disposal order.</summary>
    private protected IReadOnlyList<IDisposable> Parts { get; init; } = [];

    /// <summary>Gets the attention processors of the denoiser, by layer.</summary>
    public abstract AttentionProcessors AttentionProcessors { get; }

    /// <summary>Gets what tells the model apart from others, without its LoRAs: a SHA-256 over its configs and a sample of its weights, in
    /// hexadecimal digits, and how they were rounded (<see cref="PipelineOptions.Quantization"/>). The same model in another folder has the
    /// same one.</summary>
    public string Identity => identity ??= ModelIdentity.Of(
        WeightParts.Select(part => (part.Name, part.Stage == GenerationStage.Denoising ? folders[^1] : folders[0])), Options.Variant)
        + (RoundsWeights ? $"-{Options.Quantization}" : "");

    /// <summary>Gets what tells the LoRAs on the model apart from others: each one's name and scale, and a SHA-256 over a sample of its
    /// weights. Empty where there are none or they are turned off. Textual inversions come after them, by their words.</summary>
    public IReadOnlyList<string> LoraIdentities =>
        [.. Loras.Enabled ? ModelIdentity.Of(Loras.Files, Loras.Scales) : [], .. InversionIdentities];

    /// <summary>Gets the number of steps of a generation that does not name one: the <see cref="Preset"/>'s, the model's own (<c>steps</c>
    /// in its <c>storysync.json</c>), or else diffusers'.</summary>
    public int DefaultSteps => Preset?.Steps ?? settings.Steps ?? DefaultStepsOfClass;

    /// <summary>Gets the guidance scale of a generation from text that does not name one: the <see cref="Preset"/>'s, the model's own
    /// (<c>guidance_scale</c> in its <c>storysync.json</c>), or else diffusers'.</summary>
    public double DefaultGuidanceScale =>
        (EmbedsGuidance ? null : Preset?.GuidanceScale) ?? GuidanceScaleOrDefault(new GenerationRequest());

    /// <summary>Gets the height and width in pixels of a generation that does not name them: the model's own (<c>height</c> and
    /// <c>width</c> in its <c>storysync.json</c>), or else diffusers'.</summary>
    public ImageSize DefaultSize => settings.SizeOf(DefaultSizeOfClass, SizeMultiple);

    /// <summary>Gets the number that height and width must be multiples of.</summary>
    public abstract int SizeMultiple { get; }

    /// <summary>Gets the techniques of a story that does not say otherwise, with every member set: their strengths, layers and steps as
    /// they suit the model; masks come from its own layers (<c>mask_layers</c> in its <c>storysync.json</c>), or else from its class's.
    /// </summary>
    public StoryAttentionOptions DefaultTechniques => settings.TechniquesOf(TechniquesOfClass);

    /// <summary>Gets what the caller should know of how the model was loaded, such as options that have no effect on it. Results repeat
    /// it.</summary>
    public IReadOnlyList<GenerationWarning> Warnings => warnings.List;

    /// <summary>Loads a model of any architecture that this library knows.</summary>
    /// <param name="model">A folder in diffusers' layout, a single file of SDXL or FLUX.1, <c>storybook</c> for the embedded model, or
    /// <c>organisation/name</c> in the Hugging Face cache.</param>
    /// <param name="options">Device, type and files; null for the defaults.</param>
    /// <param name="progress">The provider that receives progress updates before each part of the model is loaded.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each part of the model.</param>
    /// <exception cref="ModelFileException">The model could not be found, is corrupt, or has an unsupported architecture.</exception>
    /// <exception cref="OperationCanceledException">The loading was canceled; what was loaded is released.</exception>
    public static DiffusionPipeline Load(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        PipelineLoader.Load<DiffusionPipeline>(model, options, progress, cancellationToken);

    /// <summary>Loads a model of any architecture that this library knows, on a thread of the pool.</summary>
    /// <inheritdoc cref="Load"/>
    public static Task<DiffusionPipeline> LoadAsync(
        string model, PipelineOptions? options = null, IProgress<LoadProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => Load(model, options, progress, cancellationToken), cancellationToken);

    /// <summary>Generates images: from noise, from other images (image to image), or in a part of them (inpainting).</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException"><paramref name="request"/> is invalid, or one for another model. No work is
    /// performed.</exception>
    /// <exception cref="InsufficientMemoryException">The memory there is does not suffice, by <see cref="PlanMemory(GenerationRequest,
    /// PipelineOptions)"/>. No work is performed. See <see cref="PipelineOptions.ChecksMemory"/>.</exception>
    /// <exception cref="NonFiniteException">A number became infinite or NaN on the way.</exception>
    /// <exception cref="OperationCanceledException">The generation was canceled.</exception>
    /// <exception cref="ObjectDisposedException">The pipeline was disposed, before or meanwhile.</exception>
    public GenerationResult Generate(
        GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Run(
            token => new Generation(this, request, progress, token).Run(), alone: request.LoraScales is not null, cancellationToken);
    }

    /// <summary>Generates images on a thread of the pool.</summary>
    /// <inheritdoc cref="Generate"/>
    public Task<GenerationResult> GenerateAsync(
        GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => Generate(request, progress, cancellationToken), cancellationToken);

    /// <summary>Estimates the memory required by a generation and suggests options that reduce it. Nothing is computed, and no weight is
    /// read.</summary>
    /// <param name="request">What would be generated.</param>
    /// <param name="options">How the model would be loaded; null for how it is. So a model that is loaded on the CPU in the type of its
    /// file, which takes no memory, tells what it would take elsewhere.</param>
    /// <exception cref="ArgumentException"><paramref name="request"/> is invalid.</exception>
    public MemoryPlan PlanMemory(GenerationRequest request, PipelineOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Run(token => new Generation(this, request, null, token).PlanMemory(options));
    }

    /// <summary>Cancels the generations under way, waits for them, and releases all resources used by the pipeline.</summary>
    /// <exception cref="InvalidOperationException">A callback of a generation of this pipeline called it.</exception>
    public void Dispose()
    {
        var preview = runs.IsClosed ? null : PreviewDecoder;
        if (runs.Close())
        {
            foreach (var part in Parts)
            {
                part.Dispose();
            }

            foreach (var file in FilesInUse)
            {
                file.Dispose();
            }

            preview?.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Begins a change of the model, after the generations that are under way.</summary>
    private protected IDisposable BeginChange() => runs.Change();

    /// <summary>Returns a part, while the pipeline is alive.</summary>
    private protected T Alive<T>(T part)
    {
        runs.ThrowIfClosed();
        return part;
    }

    /// <summary>The guidance scale of a request: its own, the model's or the class's.</summary>
    internal double GuidanceScaleOrDefault(GenerationRequest request) =>
        request.GuidanceScale ?? settings.GuidanceScale ?? DefaultGuidanceScaleOfClass(request);

    /// <summary>A request with the settings of its preset, or of the pipeline's, where it has none of its own.</summary>
    /// <exception cref="ArgumentException">The request has a preset, and the model was trained by flow matching.</exception>
    internal GenerationRequest WithPreset(GenerationRequest request)
    {
        RequirePresets(request.Preset);
        return (request.Preset ?? Preset)?.Over(request, Scheduler, EmbedsGuidance) ?? request;
    }

    /// <summary>What the model is called.</summary>
    internal string ModelName { get; }

    /// <summary>How the model was trained, as far as it says.</summary>
    internal ModelTraining Training { get; }

    /// <summary>The linear fit that paints previews; null where none is known.</summary>
    internal LatentColors? LatentColors { get; private set; }

    /// <summary>Whether weights are rounded: they are decoded on the CPU, where it computes or from where blocks are streamed.</summary>
    private bool RoundsWeights => Options.Quantization != WeightQuantization.None
        && (Device.type == DeviceType.CPU || (Options.StreamBlocks && StreamsBlocks));

    /// <summary>FLUX's scale of real guidance as the model says it; null if it says none.</summary>
    private protected double? TrueCfgScaleOfModel => settings.TrueCfgScale;

    /// <summary>Takes what depends on the parts, once they are there.</summary>
    /// <exception cref="ModelFileException">The model's settings do not fit its autoencoder.</exception>
    internal void Complete()
    {
        _ = (DefaultSize, DefaultTechniques);
        LatentColors = settings.ColorsOf(DecoderConfig);
        string[] plain = [.. folders.SelectMany(folder => folder.WithoutVariant).Distinct()];
        warnings.AddIf(
            plain.Length > 0,
            $"PipelineOptions.Variant has no effect on {string.Join(", ", plain)}: there are no weights of the variant "
                + $"'{Options.Variant}' there, so the plain ones were taken.");
        var parts = WeightParts.Select(part => part.Name).ToList();
        foreach (var component in Options.Replacements.Keys.Except(parts))
        {
            warnings.Add(
                GenerationWarningCode.OptionWithoutEffect,
                $"PipelineOptions.{PipelineOptions.ReplacementOption(component)} has no effect: the model has no {component}; its parts are "
                    + $"{string.Join(", ", parts)}.");
        }
    }

    /// <summary>The files whose bytes are the model's weights.</summary>
    private IEnumerable<MappedFile> FilesInUse => folders.SelectMany(folder => folder.FilesInUse);

    /// <summary>Checks that the files whose bytes are the model's weights are as they were.</summary>
    /// <exception cref="ModelFileException">One was written to.</exception>
    internal void ThrowIfFilesChanged()
    {
        foreach (var file in FilesInUse)
        {
            file.ThrowIfChanged();
        }
    }

    private void RequirePresets(SamplingPreset? preset) => RequestRules.Require(
        preset is null || !IsFlowMatching,
        $"The preset {preset} is for models that were not trained by flow matching, and this one was; name Steps, and a LoRA, instead.");

    /// <summary>Takes the preset that the folder names, and adds a warning.</summary>
    /// <exception cref="ModelFileException">The folder names none that there is.</exception>
    private void ChoosePreset(ModelFolder folder)
    {
        const string ByFile = "storysync.json names it";
        var (preset, reason) = settings.PresetOf(IsFlowMatching) is { } named ? (named, ByFile)
            : Options.Scheduler is not null ? (null, "")
            : Scheduler switch
            {
                LCMScheduler => (SamplingPreset.Lcm, "its scheduler is LCMScheduler"),
                TCDScheduler => (SamplingPreset.Tcd, "its scheduler is TCDScheduler"),
                _ => ((SamplingPreset?)null, ""),
            };
        if (preset is null)
        {
            return;
        }

        Preset = preset = preset with
        {
            Steps = settings.Steps ?? preset.Steps, GuidanceScale = settings.GuidanceScale ?? preset.GuidanceScale,
        };
        warnings.Add(
            GenerationWarningCode.PresetChosen,
            string.Create(
                CultureInfo.InvariantCulture,
                $"The preset {preset} was chosen for {folder.Name}, because {reason}: {preset.Steps} steps. "
                    + $"DiffusionPipeline.Preset, or what a request says itself, changes that."));
    }

    private void WarnOfOptions(ModelFolder folder)
    {
        warnings.AddIf(Options.Config is not null
            && !folder.IsSingleFile, "PipelineOptions.Config has no effect: the model is a folder, which has its own configs.");
        warnings.AddIf(Options.StreamBlocks
            && !StreamsBlocks, "PipelineOptions.StreamBlocks has no effect: only FLUX's blocks are streamed.");
        warnings.AddIf(Options.TiledDecoding
            && !DecodesTiles, "PipelineOptions.TiledDecoding has no effect: this model's autoencoder decodes whole images.");
        warnings.AddIf(
            Options.Quantization != WeightQuantization.None && !RoundsWeights,
            "PipelineOptions.Quantization has no effect: weights are rounded where the CPU computes, and in blocks that are streamed.");
        warnings.AddIf(
            Options.Offload && Device.type == DeviceType.CPU,
                "PipelineOptions.Offload has no effect: the model runs on the CPU, where its parts stay.");
    }

    /// <summary>Runs something that uses the model, which stays there until it is over.</summary>
    /// <param name="run">What to run.</param>
    /// <param name="alone">Whether it changes the model for its time.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    private T Run<T>(Func<CancellationToken, T> run, bool alone = false, CancellationToken cancellationToken = default)
    {
        using var entered = alone ? runs.EnterAlone(cancellationToken) : runs.Enter(cancellationToken);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, runs.Closing);
        try
        {
            return run(linked.Token);
        }
        catch (OperationCanceledException exception) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(exception.Message, exception, cancellationToken);
        }
        catch (OperationCanceledException) when (runs.IsClosed)
        {
            throw new ObjectDisposedException(GetType().FullName, "The pipeline was disposed while it generated.");
        }
        catch (ExternalException exception)
        {
            throw TorchError.Of(exception);
        }
    }
}
