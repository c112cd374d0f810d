using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Scenes that read a bank's anchors, batch by batch. All of them are checked before any work.</summary>
internal sealed class BankScenes
{
    private readonly List<StoryGeneration> batches = [];
    private readonly DiffusionPipeline pipeline;
    private readonly StoryBank bank;
    private readonly IReadOnlyList<Scene> scenes;
    private readonly StoryOptions options;
    private readonly int first;
    private readonly SceneBatches cut;
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
        CheckTakes(options);
        var probe = Batch([0]);
        BankRules.CheckPlan(bank.Card, probe.Card([]));
        probe.CheckBank();
        cut = SceneBatches.Of(pipeline, probe, bank.ComputedAnchors, scenes.Count, options.BatchSize);
        batches.AddRange(Batches(Enumerable.Range(0, scenes.Count), options.Candidates > 1 ? 0 : null));
    }

    /// <exception cref="ArgumentException">The takes or batches asked for are none or too many, or have an end that is never looked
    /// at.</exception>
    public static void CheckTakes(StoryOptions options)
    {
        RequestRules.Require(
            options.BatchSize is null or >= 1, $"BatchSize is {options.BatchSize}; it must be at least 1.");
        RequestRules.Require(
            options.Candidates is >= 1 and <= StoryOptions.MaxCandidates,
            $"Candidates is {options.Candidates}; it must be from 1 to {StoryOptions.MaxCandidates}.");
        RequestRules.Require(
            options.RetryBelow is null || double.IsFinite(options.RetryBelow.Value),
            $"RetryBelow is {options.RetryBelow}; it must be a number.");
        RequestRules.Require(
            options.RetryBelow is null || options.Candidates > 1,
            $"RetryBelow is {options.RetryBelow}, but there is one take of each scene; say in Candidates how many there may be.");
    }

    public StoryResult Run()
    {
        if (progress is not null)
        {
            progress.Batches += (batches.Count * options.Candidates) - 1;
        }

        var best = Draw(batches);
        try
        {
            for (var take = 1; take < options.Candidates; take++)
            {
                int[] again = [.. Enumerable.Range(0, scenes.Count).Where(scene => NeedsMore(best.Scenes[scene].Consistency))];
                IReadOnlyList<StoryGeneration> round = [.. Batches(again, take)];
                progress?.Skip(batches.Count - round.Count);
                if (round.Count > 0)
                {
                    using var drawn = Draw(round);
                    using var before = best;
                    best = Better(before, drawn, again);
                }
            }
        }
        catch
        {
            best.Dispose();
            throw;
        }

        return best;
    }

    private bool NeedsMore(double? score) => score is { } known && !(known >= options.RetryBelow);

    private static StoryResult Draw(IReadOnlyList<StoryGeneration> batches)
    {
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

    /// <summary>Of each scene the better take.</summary>
    /// <param name="best">A take of every scene.</param>
    /// <param name="drawn">Another of some.</param>
    /// <param name="which">Of which.</param>
    private static StoryResult Better(StoryResult best, StoryResult drawn, int[] which)
    {
        using var scope = NewDisposeScope();
        var scenes = best.Scenes.ToArray();
        var rows = best.Latents.unbind();
        var others = drawn.Latents.unbind();
        foreach (var (i, scene) in which.Index())
        {
            if (drawn.Scenes[i].Consistency > scenes[scene].Consistency)
            {
                (scenes[scene], rows[scene]) = (drawn.Scenes[i], others[i]);
            }
        }

        return new StoryResult
        {
            Scenes = scenes,
            Latents = stack(rows).DetachFromDisposeScope(),
            Timings = Sum([best, drawn]),
            Warnings = [.. best.Warnings.Union(drawn.Warnings)],
        };
    }

    /// <summary>Returns the memory that the largest batch takes.</summary>
    /// <param name="model">How the model would be loaded.</param>
    public MemoryPlan PlanMemory(PipelineOptions? model) => batches[0].PlanMemory(model);

    /// <summary>Returns how long the scenes take, with all their takes.</summary>
    /// <param name="clock">Measures a step of the largest batch.</param>
    public TimePlan PlanTime(TimeProvider clock) => StepTimer.Plan(
        clock, scenes.Count, [.. cut.Images(options.Candidates)],
        watch => Batch([.. Enumerable.Range(0, cut.Size)], change: watch));

    /// <summary>Puts results together; they remain the caller's to dispose.</summary>
    /// <param name="results">The results.</param>
    /// <param name="bank">The bank that becomes the result's.</param>
    public static StoryResult Join(IReadOnlyList<StoryResult> results, StoryBank? bank = null) => new()
    {
        Scenes = [.. results.SelectMany(result => result.Scenes)],
        Latents = cat([.. results.Select(result => result.Latents)], dim: 0).DetachFromDisposeScope(),
        Timings = Sum(results),
        Warnings = [.. results.SelectMany(result => result.Warnings).Distinct()],
        Bank = bank,
    };

    private IEnumerable<StoryGeneration> Batches(IEnumerable<int> which, int? take) => cut.Cut(which).Select(some => Batch(some, take));

    private StoryGeneration Batch(int[] which, int? take = null, Func<GenerationRequest?, GenerationRequest>? change = null)
    {
        var request = RequestRows.Take(options.Request!, scenes.Count, which);
        return new(
            pipeline,
            bank.Card.Story with { Scenes = [.. which.Select(scene => scenes[scene])] },
            options with { Request = change?.Invoke(request) ?? request },
            progress,
            cancellationToken,
            new StoryBatchOrigin(bank, [.. which.Select(scene => first + scene)], IsAnchored: true, take));
    }

    private static GenerationTimings Sum(IReadOnlyList<StoryResult> results)
    {
        return new()
        {
            Encoding = Of(timings => timings.Encoding),
            Denoising = Of(timings => timings.Denoising),
            Decoding = Of(timings => timings.Decoding),
        };

        TimeSpan Of(Func<GenerationTimings, TimeSpan> part) =>
            results.Aggregate(TimeSpan.Zero, (sum, result) => sum + part(result.Timings));
    }
}
