using System.Diagnostics;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>One run of a pipeline: checks the request, then encodes, denoises and decodes. Everything of the run lives here.</summary>
internal sealed class Generation
{
    private readonly DiffusionPipeline pipeline;
    private readonly GenerationRequest request;
    private readonly IProgress<GenerationProgress>? progress;
    private readonly CancellationToken cancellationToken;
    private readonly int pictures;
    private readonly int steps;
    private readonly double guidanceScale;

    /// <exception cref="ArgumentException">The request is no good.</exception>
    public Generation(
        DiffusionPipeline pipeline, GenerationRequest request, IProgress<GenerationProgress>? progress, CancellationToken cancellationToken)
    {
        (this.pipeline, this.request, this.progress, this.cancellationToken) = (pipeline, request, progress, cancellationToken);
        RequestRules.Check(request, pipeline);
        pipeline.Check(request);
        pictures = request.Prompts.Count * request.ImagesPerPrompt;
        steps = request.Steps ?? pipeline.DefaultSteps;
        guidanceScale = pipeline.GuidanceScaleOf(request);
        (Height, Width) = RequestRules.Size(request, pipeline);
        Plan = pipeline.Plan(steps, Height, Width);
        BeginIndex = request.Images is null ? 0 : pipeline.BeginIndex(Plan, request.Strength);
        Seeds = request.Seeds ?? [.. Enumerable.Range(0, pictures).Select(i => request.Seed + i)];
    }

    public int Height { get; }

    public int Width { get; }

    /// <summary>Whether the batch has a negative half.</summary>
    public bool Guidance => guidanceScale > 1;

    public IReadOnlyList<long> Seeds { get; }

    private SchedulePlan Plan { get; }

    private int BeginIndex { get; }

    private int ModelCalls => Plan.Timesteps.Length - BeginIndex;

    /// <summary>Runs.</summary>
    /// <param name="story">The story that the pictures are the scenes of; null for pictures that know nothing of each other.</param>
    public GenerationResult Run(StoryAttention? story = null)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        cancellationToken.ThrowIfCancellationRequested();
        Report(GenerationStage.Encoding);
        var clock = Stopwatch.StartNew();
        using var noise = new SeededNoise(Seeds);
        using var baseNoise = story?.BatchAt(0, ModelCalls).HasBase == true ? BaseNoise() : null;
        var embeddings = pipeline.Encode(request, Height, Width, Guidance, cancellationToken);
        using var blockCache = request.BlockCacheThreshold > 0 ? new BlockCache(request.BlockCacheThreshold) : null;
        var start = Start(request.Noise ?? noise.Draw);
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
            SplitsHalves = Denoising.SplitsHalves(pictures, Height, Width, caches: blockCache is not null),
            ExtraChannels = start.ExtraChannels,
            AfterStep = start.AfterStep,
            Story = story,
        };
        var encoded = clock.Elapsed;
        var latents = Denoise(job);
        var denoised = clock.Elapsed;

        IReadOnlyList<RgbImage> images = [];
        if (!request.LatentsOnly)
        {
            Report(GenerationStage.Decoding, ModelCalls);
            images = Pictures(latents);
        }

        Report(GenerationStage.Done, ModelCalls);
        var timings = new GenerationTimings(encoded, denoised - encoded, clock.Elapsed - denoised);
        return new GenerationResult(images, latents.DetachFromDisposeScope(), Seeds, timings);
    }

    /// <summary>The memory that the run would take.</summary>
    /// <param name="options">How the model would be loaded.</param>
    /// <param name="hasBase">Whether an unmodified branch would run along.</param>
    /// <param name="shares">Whether the pictures would share attention.</param>
    public MemoryPlan PlanMemory(PipelineOptions? options, bool hasBase = false, bool shares = false) => MemoryPlanner.Plan(
        pipeline, new MemoryCase(
            options ?? pipeline.Options, pictures, Guidance ? 2 : 1, Height, Width, hasBase, shares, Caches: request.BlockCacheThreshold > 0));

    private Tensor Denoise(DenoisingJob job)
    {
        using var held = pipeline.HoldDenoiser();
        return Denoising.Run(pipeline.Predict, job, OnStep);
    }

    private RunStart Start(NoiseSource noise)
    {
        if (request.Images is { } images)
        {
            return new ImageStart(pipeline, Plan, BeginIndex, noise, cancellationToken).From(images, request.Mask, request.Strength, pictures, Height, Width);
        }

        var latents = request.Latents is { } given ? given.to(pipeline.Options.Dtype, pipeline.Device) : DrawNoise(noise);
        return new RunStart(latents * Plan.InitNoiseSigma);
    }

    /// <summary>The unmodified branch's noise, which goes on from where the run's own is once the first latents are drawn.</summary>
    private SeededNoise BaseNoise()
    {
        var noise = new SeededNoise(Seeds);
        if (request.Latents is null && request.Images is null)
        {
            DrawNoise(noise.Draw).Dispose();
        }

        return noise;
    }

    private Tensor DrawNoise(NoiseSource noise) => pipeline.DrawNoise(noise, pictures, Height, Width);

    private IReadOnlyList<RgbImage> Pictures(Tensor latents)
    {
        using var scope = NewDisposeScope();
        return RgbImage.FromTensor(pipeline.DecodeLatents(latents, Height, Width, cancellationToken));
    }

    private void OnStep(DenoisingStep step, TimeSpan elapsed)
    {
        request.OnStep?.Invoke(step);
        var due = request.PreviewInterval > 0 && (step.Index + 1) % request.PreviewInterval == 0;
        progress?.Report(new GenerationProgress(GenerationStage.Denoising, step.Index + 1, step.Count, elapsed)
        {
            Previews = due ? Preview(step.Latents) : null,
        });
    }

    private IReadOnlyList<RgbImage> Preview(Tensor latents)
    {
        if (pipeline.PreviewDecoder is not { } decoder)
        {
            return Pictures(latents);
        }

        using var scope = NewDisposeScope();
        return RgbImage.FromTensor((decoder.Decode(pipeline.Unpack(latents, Height, Width)) / 2) + 0.5);
    }

    private void Report(GenerationStage stage, int step = 0) =>
        progress?.Report(new GenerationProgress(stage, step, ModelCalls, TimeSpan.Zero));
}
