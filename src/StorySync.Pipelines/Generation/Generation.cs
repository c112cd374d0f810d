using System.Diagnostics;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>One generation of a pipeline: checks the request, then encodes, denoises and decodes. Everything of it lives here.</summary>
internal sealed class Generation
{
    /// <summary>What tells the images that were drawn from images that were given.</summary>
    private static readonly ImageProvenance Drawn = new();

    private readonly DiffusionPipeline pipeline;
    private readonly GenerationRequest request;
    private readonly IProgress<GenerationProgress>? progress;
    private readonly CancellationToken cancellationToken;
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly int images;
    private int? textChunks;
    private readonly double guidanceScale;
    private TimeSpan stepBegun;

    /// <exception cref="ArgumentException">The request is invalid.</exception>
    public Generation(
        DiffusionPipeline pipeline, GenerationRequest request, IProgress<GenerationProgress>? progress, CancellationToken cancellationToken)
    {
        (this.pipeline, this.request, this.progress, this.cancellationToken) = (pipeline, request, progress, cancellationToken);
        RequestRules.Check(request, pipeline);
        pipeline.Check(request);
        this.request = request = pipeline.WithPreset(request);
        images = request.Prompts.Count * request.ImagesPerPrompt;
        guidanceScale = pipeline.GuidanceScaleOf(request);
        (Height, Width) = RequestRules.Size(request, pipeline);
        Scheduler = request.Scheduler?.On(pipeline.Scheduler) ?? pipeline.Scheduler;
        ModelParts.Check(Scheduler, pipeline.Training.PredictionType);
        Plan = pipeline.Plan(Scheduler, request.Steps ?? pipeline.DefaultSteps, Height, Width, request.Images is not null);
        BeginIndex = request.Images is null ? 0 : pipeline.BeginIndex(Plan, pipeline.StrengthOf(request));
        Seed = request.Seed ?? Random.Shared.NextInt64(1L << 32);
        Warnings = new WarningList(pipeline.Options.Logger);
        if (pipeline.Training.OtherNoise(Scheduler) is { } difference)
        {
            Warnings.Add(
                GenerationWarningCode.SchedulerMismatch,
                $"The noise levels of the {Scheduler.GetType().Name} are not those that the model was trained with: {difference}.");
        }
    }

    public int Height { get; }

    public int Width { get; }

    /// <summary>Gets the seed that the images' seeds are counted from: the request's, or a random one.</summary>
    public long Seed { get; }

    /// <summary>Gets a value indicating whether the batch has a negative half.</summary>
    public bool Guidance => guidanceScale > 1;

    /// <summary>Gets what the images have in common as scenes of a story; null for none.</summary>
    public StoryTraits? Story { get; init; }

    public int ModelCalls => Plan.Timesteps.Length - BeginIndex;

    public WarningList Warnings { get; }

    private IReadOnlyList<long> Seeds => request.Seeds ?? [.. Enumerable.Range(0, images).Select(i => Seed + i)];

    public SchedulePlan Plan { get; }

    public int BeginIndex { get; }

    /// <summary>Gets the request with the values that are taken where it names none, and without what belongs to single images or to the
    /// program.</summary>
    public GenerationRequest Settings => pipeline.Settle(request) with
    {
        Prompts = [],
        Height = request.Height ?? Height,
        Width = request.Width ?? Width,
        Steps = Plan.Steps,
        GuidanceScale = pipeline.GuidanceScaleOrDefault(request),
        Scheduler = new SchedulerChoice(Scheduler),
        Strength = request.Images is null ? null : pipeline.StrengthOf(request),
        Seed = Seed,
        Images = null,
        OnStep = null,
        PreviewInterval = 0,
        AttentionProcessor = null,
    };

    private Scheduler Scheduler { get; }

    /// <summary>Refuses a generation that cannot fit into the memory there is.</summary>
    /// <param name="hasBase">Whether an unmodified branch would run along.</param>
    /// <param name="shares">Whether the images would share attention.</param>
    /// <exception cref="InsufficientMemoryException">It does not fit.</exception>
    public void CheckMemory(bool hasBase = false, bool shares = false)
    {
        if (pipeline.Options.ChecksMemory)
        {
            MemoryGuard.Check(pipeline, Case(pipeline.Options, hasBase, shares));
        }
    }

    /// <summary>Runs a generation of images that know nothing of each other.</summary>
    public GenerationResult Run() => Trace("generate_content", () =>
    {
        CheckMemory();
        return Run(Seeds, story: null);
    });

    /// <summary>Runs something in the span of the generation.</summary>
    /// <param name="operation">What is generated.</param>
    /// <param name="run">Generates it.</param>
    public T Trace<T>(string operation, Func<T> run)
    {
        using var span = Telemetry.StartGeneration(operation, pipeline.ModelName);
        span?.SetTag("gen_ai.request.choice.count", images)
            .SetTag("gen_ai.request.seed", Seeds[0])
            .SetTag("gen_ai.request.image.width", Width)
            .SetTag("gen_ai.request.image.height", Height)
            .SetTag("storysync.steps", ModelCalls)
            .SetTag("storysync.guidance_scale", guidanceScale)
            .SetTag("storysync.device", pipeline.Device.ToString());
        try
        {
            return run();
        }
        catch (Exception exception)
        {
            Telemetry.Fail(span, exception);
            throw;
        }
    }

    /// <summary>Runs; the memory was checked.</summary>
    /// <param name="seeds">The seed of each image.</param>
    /// <param name="story">The story that the images are the scenes of; null for images that know nothing of each other.</param>
    /// <param name="entry">What looks at the latents before each step, or replaces some.</param>
    /// <param name="hidden">How many of the first images are not decoded, and in no result.</param>
    /// <param name="ownImages">The images that are not drawn; null for none.</param>
    public GenerationResult Run(
        IReadOnlyList<long> seeds, StoryAttention? story, IStepEntry? entry = null, int hidden = 0, ImageAnchors? ownImages = null)
    {
        using var scales = request.LoraScales is { } own ? pipeline.Loras.With(own) : null;
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        cancellationToken.ThrowIfCancellationRequested();
        pipeline.ThrowIfFilesChanged();
        RequestRules.Warn(request, pipeline, Scheduler, ModelCalls, Guidance, progress is not null, Warnings);
        Report(GenerationStage.Encoding);
        using var encoding = Telemetry.StartStage("encode");
        var begun = clock.Elapsed;
        using var noise = new SeededNoise(seeds);
        var embeddings = pipeline.Encode(request, Height, Width, Guidance, cancellationToken);
        FiniteNumbers.RequireText(embeddings, pipeline.Options.Dtype);
        using var blockCache = request.BlockCacheThreshold > 0 ? new BlockCache(request.BlockCacheThreshold) : null;
        var start = Start(request.Noise ?? noise.Draw);
        start = ownImages?.Begin(pipeline, Plan, BeginIndex, seeds, start, Height, Width, cancellationToken) ?? start;
        using var baseNoise = story?.BatchAt(0, ModelCalls).HasBase == true ? noise.Fork() : null;
        using var finite = new FiniteNumbers(pipeline.Device, pipeline.Options.Dtype);
        var job = new DenoisingJob
        {
            Plan = Plan,
            Embeddings = embeddings,
            Latents = start.Latents,
            Context = new DenoisingContext
            {
                Steps = ModelCalls,
                Processor = story ?? request.AttentionProcessor,
                BlockCache = blockCache,
                CancellationToken = cancellationToken,
            },
            Noise = request.Noise ?? noise.Draw,
            BaseNoise = baseNoise is null ? null : baseNoise.Draw,
            BeginIndex = BeginIndex,
            Eta = request.Eta,
            Guide = Guidance ? prediction => pipeline.Guide(prediction, request, guidanceScale) : null,
            GuidedSteps = new StepRange(0, request.GuidanceEnd),
            SplitsHalves = Denoising.SplitsHalves(images, Height, Width, caches: blockCache is not null),
            ConditioningChannels = start.ConditioningChannels,
            AfterStep = start.AfterStep,
            Story = story,
            Entry = entry,
            HiddenRows = hidden,
        };
        encoding?.Dispose();
        var encoded = clock.Elapsed;
        var latents = Denoise(job, finite, ownImages);
        finite.Require();
        Warnings.AddIf(
            story is null && request.Latents is not null && (request.Seed is not null || request.Seeds is not null) && !noise.IsDrawn,
            $"{(request.Seeds is null ? "Seed" : "Seeds")} has no effect: Latents are given, and {Scheduler.GetType().Name} draws no "
                + "noise in its steps.");
        var denoised = clock.Elapsed;

        IReadOnlyList<RgbImage> decoded = [];
        if (!request.LatentsOnly)
        {
            Report(GenerationStage.Decoding, ModelCalls);
            decoded = Named(ownImages is null ? Decode(latents) : ownImages.Decode(latents, Decode), seeds, hidden);
        }

        // What was written to meanwhile may be in the images.
        pipeline.ThrowIfFilesChanged();
        Telemetry.CountImages(pipeline.ModelName, decoded.Count);
        Report(GenerationStage.Done, ModelCalls);
        return new GenerationResult
        {
            Images = decoded,
            Latents = latents.DetachFromDisposeScope(),
            Seeds = [.. seeds.Skip(hidden)],
            Timings =
                new GenerationTimings { Encoding = encoded - begun, Denoising = denoised - encoded, Decoding = clock.Elapsed - denoised },
            Warnings = [.. pipeline.Warnings, .. Warnings.List],
        };
    }

    /// <summary>Returns the memory that the generation would take.</summary>
    /// <param name="options">How the model would be loaded.</param>
    /// <param name="hasBase">Whether an unmodified branch would run along.</param>
    /// <param name="shares">Whether the images would share attention.</param>
    /// <param name="rows">The number of images; null for as many as there are.</param>
    public MemoryPlan PlanMemory(PipelineOptions? options, bool hasBase = false, bool shares = false, int? rows = null)
    {
        var asked = Case(options ?? pipeline.Options, hasBase, shares);
        return MemoryPlanner.Plan(pipeline, asked with { Images = rows ?? images });
    }

    private MemoryQuery Case(PipelineOptions options, bool hasBase, bool shares) =>
        new(options, images, Guidance ? 2 : 1, Height, Width, hasBase, shares, Caches: request.BlockCacheThreshold > 0,
            textChunks ??= pipeline.TextChunks(request, Guidance));

    private Tensor Denoise(DenoisingJob job, FiniteNumbers finite, ImageAnchors? ownImages)
    {
        using var span = Telemetry.StartStage("denoise");
        pipeline.ThrowIfFilesChanged();
        using var held = pipeline.AcquireDenoiser();
        ownImages?.FindSubjects(pipeline.Predict, job);
        stepBegun = clock.Elapsed;
        return Denoising.Run(pipeline.Predict, job, (step, elapsed) => OnStep(step, elapsed, finite));
    }

    private InitialLatents Start(NoiseSource noise)
    {
        if (request.Images is { } given)
        {
            return new ImageStart(pipeline, Plan, BeginIndex, noise, cancellationToken)
                .From(given, request.Mask, pipeline.StrengthOf(request), images, Height, Width);
        }

        var latents = request.Latents is { } own
            ? own.to(pipeline.Options.Dtype, pipeline.Device)
            : pipeline.DrawNoise(noise, images, Height, Width);
        return new InitialLatents(latents.Times(Plan.InitNoiseSigma));
    }

    private IReadOnlyList<RgbImage> Decode(Tensor latents)
    {
        using var span = Telemetry.StartStage("decode");
        using var scope = NewDisposeScope();
        pipeline.ThrowIfFilesChanged();
        var decoded = pipeline.DecodeLatents(latents, Height, Width, cancellationToken);
        FiniteNumbers.RequireImages(decoded, pipeline.Options.Dtype);
        return Marked(RgbImage.FromTensor(decoded));
    }

    private IReadOnlyList<RgbImage> Marked(IReadOnlyList<RgbImage> images) =>
        pipeline.Options.MarksImages ? [.. images.Select(image => image.WithProvenance(Drawn))] : images;

    /// <summary>Gives the images that were drawn what they were generated with.</summary>
    private IReadOnlyList<RgbImage> Named(IReadOnlyList<RgbImage> images, IReadOnlyList<long> seeds, int hidden)
    {
        var text = new ParameterText(pipeline, request) { Steps = Plan.Steps, Scheduler = Scheduler, Story = Story };
        return [.. images.Select((image, i) => ReferenceEquals(image.Provenance, Drawn)
            ? image.WithProvenance(new ImageProvenance { Parameters = text.Of(hidden + i, seeds[hidden + i], image) }) : image)];
    }

    private void OnStep(DenoisingStep step, TimeSpan elapsed, FiniteNumbers finite)
    {
        Telemetry.RecordStep(pipeline.ModelName, clock.Elapsed - stepBegun);
        finite.Look(step);
        request.OnStep?.Invoke(step);
        pipeline.ThrowIfFilesChanged();
        var made = step.Index + 1;
        var due = request.PreviewInterval > 0 && made % request.PreviewInterval == 0;
        progress?.Report(new GenerationProgress
        {
            Stage = GenerationStage.Denoising,
            Step = made,
            Steps = step.Count,
            Elapsed = clock.Elapsed,
            Remaining = elapsed / made * (step.Count - made),
            Previews = due ? Preview(step.PredOriginalSample) : null,
        });

        // Callbacks and previews are no part of the next step.
        stepBegun = clock.Elapsed;
    }

    private IReadOnlyList<RgbImage>? Preview(Tensor original)
    {
        using var scope = NewDisposeScope();
        var latents = pipeline.Unpack(original, Height, Width);
        return pipeline.PreviewDecoder is { } decoder
            ? Marked(RgbImage.FromTensor(decoder.Decode(latents).Over(2).Plus(0.5)))
            : pipeline.LatentColors is { } colors ? Marked(colors.Paint(latents)) : null;
    }

    private void Report(GenerationStage stage, int step = 0) => progress?.Report(new GenerationProgress
    {
        Stage = stage,
        Step = step,
        Steps = ModelCalls,
        Elapsed = clock.Elapsed,
        Remaining = step > 0 ? TimeSpan.Zero : null,
    });
}
