using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Scenes that read a bank's anchors, batch by batch. All of them are checked before any work.</summary>
internal sealed class BankScenes
{
    /// <summary>The most scenes of a batch that is chosen: in larger ones the anchors' share of the work is small already.</summary>
    private const int MostChosen = 8;

    private readonly List<StoryGeneration> batches = [];
    private readonly DiffusionPipeline pipeline;
    private readonly StoryBank bank;
    private readonly IReadOnlyList<Scene> scenes;
    private readonly StoryOptions options;
    private readonly int first;
    private readonly BatchProgress? progress;
    private readonly CancellationToken cancellationToken;

    /// <param name="pipeline">The model.</param>
    /// <param name="bank">The bank.</param>
    /// <param name="scenes">The scenes.</param>
    /// <param name="options">How they are made.</param>
    /// <param name="first">The first scene's index in its story.</param>
    /// <param name="progress">Receives the progress of all batches; null for none.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">A scene or an option is invalid, or differs from the bank where it must not.</exception>
    public BankScenes(
        DiffusionPipeline pipeline, StoryBank bank, IReadOnlyList<Scene> scenes, StoryOptions options, int first,
        BatchProgress? progress, CancellationToken cancellationToken)
    {
        (this.pipeline, this.bank, this.scenes, this.first) = (pipeline, bank, scenes, first);
        (this.progress, this.cancellationToken) = (progress, cancellationToken);
        RequestRules.Require(scenes.Count > 0, "There are no scenes to draw; give at least one.");
        this.options = options = BankRules.Settle(bank, options, pipeline);
        var probe = Batch(0, 1);
        BankRules.CheckPlan(bank.Card, probe.Card([]));
        var size = BatchSize(pipeline, probe, bank.Anchors, scenes.Count, options);
        for (var begin = 0; begin < scenes.Count; begin += size)
        {
            batches.Add(Batch(begin, Math.Min(size, scenes.Count - begin)));
        }
    }

    public StoryResult Run()
    {
        if (progress is not null)
        {
            progress.Batches += batches.Count - 1;
        }

        var results = new List<StoryResult>();
        try
        {
            foreach (var batch in batches)
            {
                results.Add(batch.Run());
            }

            return Join(results);
        }
        finally
        {
            results.ForEach(result => result.Dispose());
        }
    }

    /// <summary>The memory that the largest batch takes.</summary>
    /// <param name="model">How the model would be loaded.</param>
    public MemoryPlan PlanMemory(PipelineOptions? model) => batches[0].PlanMemory(model);

    /// <summary>How long the scenes take.</summary>
    /// <param name="clock">Measures a step of the largest batch.</param>
    public TimePlan PlanTime(TimeProvider clock) => StepTimer.Plan(
        clock, scenes.Count, [.. batches.Select(batch => batch.Images)], watch => Batch(0, batches[0].Images - bank.Anchors, watch));

    /// <summary>Puts results together; they remain the caller's to dispose.</summary>
    /// <param name="results">The results.</param>
    /// <param name="bank">The bank that becomes the result's.</param>
    public static StoryResult Join(IReadOnlyList<StoryResult> results, StoryBank? bank = null) => new()
    {
        Scenes = [.. results.SelectMany(result => result.Scenes)],
        Latents = cat([.. results.Select(result => result.Latents)], dim: 0).DetachFromDisposeScope(),
        Timings = new GenerationTimings
        {
            Encoding = Sum(results, timings => timings.Encoding),
            Denoising = Sum(results, timings => timings.Denoising),
            Decoding = Sum(results, timings => timings.Decoding),
        },
        Warnings = [.. results.SelectMany(result => result.Warnings).Distinct()],
        Bank = bank,
    };

    /// <summary>As asked for, or as many as the memory there is has room for; then all batches are about as large.</summary>
    /// <param name="pipeline">The model.</param>
    /// <param name="some">Some scenes of the story.</param>
    /// <param name="anchors">How many anchors run along.</param>
    /// <param name="scenes">How many scenes there are.</param>
    /// <param name="options">How they are made.</param>
    public static int BatchSize(DiffusionPipeline pipeline, StoryGeneration some, int anchors, int scenes, StoryOptions options)
    {
        if (options.BatchSize is { } asked)
        {
            return asked;
        }

        var most = Math.Min(scenes, MostChosen);
        if (AvailableMemory.Of(pipeline.Device) is { } there)
        {
            while (most > 1 && !some.PlanMemory(null, anchors + most).Fits(there))
            {
                most--;
            }
        }

        var batches = (scenes + most - 1) / most;
        return (scenes + batches - 1) / batches;
    }

    private StoryGeneration Batch(int begin, int count, Func<GenerationRequest?, GenerationRequest>? change = null)
    {
        var request = RequestRows.Take(options.Request!, scenes.Count, begin, count);
        return new(
            pipeline,
            bank.Card.Story with { Scenes = [.. scenes.Skip(begin).Take(count)] },
            options with { Request = change?.Invoke(request) ?? request },
            progress,
            cancellationToken,
            new StoryBatchOrigin(bank, first + begin, IsAnchored: true));
    }

    private static TimeSpan Sum(IReadOnlyList<StoryResult> results, Func<GenerationTimings, TimeSpan> part) =>
        results.Aggregate(TimeSpan.Zero, (sum, result) => sum + part(result.Timings));
}
