namespace StorySync.Pipelines;

/// <summary>A story whose first scenes are anchors: they become a bank, and the other scenes are drawn with it.</summary>
internal sealed class AnchoredStory
{
    private readonly DiffusionPipeline pipeline;
    private readonly Story story;
    private readonly StoryOptions options;
    private readonly BatchProgress? progress;
    private readonly CancellationToken cancellationToken;
    private readonly StoryGeneration whole;
    private readonly StoryGeneration first;
    private readonly int count;

    /// <param name="pipeline">The model.</param>
    /// <param name="story">The story.</param>
    /// <param name="options">How it is made; without <see cref="StoryOptions.Anchors"/> all scenes are anchors.</param>
    /// <param name="progress">Receives the progress of all batches; null for none.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">The story or an option is invalid.</exception>
    public AnchoredStory(
        DiffusionPipeline pipeline, Story story, StoryOptions options, IProgress<GenerationProgress>? progress,
        CancellationToken cancellationToken)
    {
        (this.pipeline, this.story, this.cancellationToken) = (pipeline, story, cancellationToken);
        this.progress = progress is null ? null : new BatchProgress(progress);
        BankScenes.CheckTakes(options);
        BankRules.CheckForm(options);
        BankRules.CheckIndependence(options.Request ?? new());
        whole = new StoryGeneration(
            pipeline, story, options with { Anchors = options.Anchors ?? int.MaxValue }, null, cancellationToken);
        count = options.Anchors ?? story.Scenes.Count;
        RequestRules.Require(
            count >= 1 && count <= story.Scenes.Count,
            $"Anchors is {options.Anchors}; it must be from 1 to the number of scenes, {story.Scenes.Count}.");
        this.options = options with { Anchors = null, Request = (options.Request ?? new()) with { Seed = whole.Seed } };
        first = new StoryGeneration(
            pipeline,
            story with { Scenes = [.. story.Scenes.Take(count)] },
            this.options with { Request = Request(0, count) },
            this.progress,
            cancellationToken,
            new StoryBatchOrigin(IsAnchored: true));
    }

    /// <summary>Makes the anchors alone.</summary>
    public StoryBank RunAnchors()
    {
        var (bank, result) = first.RunAnchors();
        result.Dispose();
        return bank;
    }

    /// <summary>Makes the story.</summary>
    public StoryResult Run()
    {
        // A fault in the last scene is found before the first is drawn.
        whole.ReadPrompts();
        var further = story.Scenes.Count - count;
        if (progress is not null && further > 0)
        {
            progress.Batches++;
        }

        var (bank, anchors) = first.RunAnchors();
        using (anchors)
        {
            try
            {
                if (further == 0)
                {
                    return BankScenes.Join([anchors], bank);
                }

                using var scenes = new BankScenes(
                    pipeline,
                    bank,
                    [.. story.Scenes.Skip(count)],
                    options with { Request = Request(count, further), BankForm = null, BankKeysDtype = null },
                    count,
                    progress,
                    cancellationToken).Run();
                return BankScenes.Join([anchors, scenes], bank);
            }
            catch
            {
                bank.Dispose();
                throw;
            }
        }
    }

    /// <summary>Returns the memory that the largest batch takes, and the bank.</summary>
    /// <param name="model">How the model would be loaded.</param>
    public MemoryPlan PlanMemory(PipelineOptions? model) =>
        whole.PlanMemory(model, MostImages(Cut)) with { BankBytes = first.BankBytes };

    /// <summary>Returns how long the story takes.</summary>
    /// <param name="clock">Measures a step of the largest batch.</param>
    public TimePlan PlanTime(TimeProvider clock)
    {
        var cut = Cut;
        var most = MostImages(cut);

        // No bank is needed for the time of a step: the same rows are a story in which all scenes read each other.
        return StepTimer.Plan(
            clock, story.Scenes.Count, [count, .. cut.Images(options.Candidates)],
            watch => new StoryGeneration(
                pipeline,
                story with { Scenes = [.. story.Scenes.Take(most)] },
                options with { Anchors = count, Request = watch(Request(0, most)) },
                null,
                cancellationToken));
    }

    /// <summary>Gets how the further scenes are cut.</summary>
    private SceneBatches Cut => SceneBatches.Of(
        pipeline, whole, options.BankForm == StoryBankForm.Keys ? 0 : count, story.Scenes.Count - count, options.BatchSize);

    /// <summary>The images of the largest batch, that of the anchors among them.</summary>
    private int MostImages(SceneBatches cut) => Math.Max(count, cut.LargestImages);

    private GenerationRequest Request(int begin, int scenes) =>
        RequestRows.Take(options.Request!, story.Scenes.Count, Enumerable.Range(begin, scenes));
}
