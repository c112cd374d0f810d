namespace StorySync.Pipelines;

// Stories, banks and their scenes: what is run, and what it would take.
public abstract partial class DiffusionPipeline
{
    /// <summary>Generates a story's images, its subjects the same in all of them (StorySync, arXiv 2508.03735): subject masks from the
    /// attention to the subjects' words, masked cross-image attention sharing, regional feature harmonization, base layout
    /// interpolation.</summary>
    /// <remarks>All scenes are denoised as one batch, or, with <see cref="StoryOptions.Anchors"/>, batch by batch. With every technique
    /// off, or with one scene, the latents are those of <see cref="Generate"/>, to the last bit.</remarks>
    /// <param name="story">The story.</param>
    /// <param name="options">How it is made; null for the defaults.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException"><paramref name="story"/> or <paramref name="options"/> is invalid. No work is
    /// performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public StoryResult GenerateStory(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        return Run(
            token => options?.Anchors is null
                ? new StoryGeneration(this, story, options ?? new(), progress, token).Run()
                : new AnchoredStory(this, story, options, progress, token).Run(),
            alone: options?.Request?.LoraScales is not null,
            cancellationToken);
    }

    /// <summary>Generates a story's images on a thread of the pool.</summary>
    /// <inheritdoc cref="GenerateStory"/>
    public Task<StoryResult> GenerateStoryAsync(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => GenerateStory(story, options, progress, cancellationToken), cancellationToken);

    /// <summary>Makes a story's scenes as anchors, and keeps of them what further scenes read: see <see cref="GenerateScenes"/>.</summary>
    /// <param name="story">The story; all of its scenes become anchors.</param>
    /// <param name="options">How they are made; null for the defaults.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <returns>The bank, for the caller to dispose.</returns>
    /// <exception cref="ArgumentException"><paramref name="story"/> or <paramref name="options"/> is invalid. No work is
    /// performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public StoryBank CreateBank(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        return Run(
            token => new AnchoredStory(this, story, (options ?? new()) with { Anchors = null }, progress, token).RunAnchors(),
            alone: options?.Request?.LoraScales is not null,
            cancellationToken);
    }

    /// <summary>Makes a story's scenes as anchors, on a thread of the pool.</summary>
    /// <inheritdoc cref="CreateBank"/>
    public Task<StoryBank> CreateBankAsync(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => CreateBank(story, options, progress, cancellationToken), cancellationToken);

    /// <summary>Generates scenes that have the subjects of a bank's anchors. A scene depends on the bank, its prompt, its subjects, its
    /// seed and the options alone: on the CPU in float32 it has the same bits in any batch, in any order, on any day.</summary>
    /// <remarks>With a bank of <see cref="StoryBankForm.Trajectory"/> the anchors are computed along with each batch, from the latents and
    /// masks that the bank has of them: a batch of N scenes and A anchors takes the time of A + N images. With one of
    /// <see cref="StoryBankForm.Keys"/> it takes about that of N. Memory does not grow with the number of batches.</remarks>
    /// <param name="bank">The bank. It stays the caller's.</param>
    /// <param name="scenes">The scenes. One without a seed has the bank's plus the number of scenes before it, anchors included.</param>
    /// <param name="options">What they are made with; null, and what is null in it, for the bank's. Settings that change numbers must be
    /// the bank's; lists of the request have one entry for all scenes or one each.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">A scene or an option is invalid, or the bank was made with another model or with other settings;
    /// the message names the difference. No work is performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public StoryResult GenerateScenes(
        StoryBank bank, IReadOnlyList<Scene> scenes, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(bank);
        ArgumentNullException.ThrowIfNull(scenes);
        var all = progress is null ? null : new BatchProgress(progress);
        return Run(
            token => new BankScenes(this, bank, scenes, options ?? new(), bank.Anchors, all, token).Run(),
            alone: bank.Card.Request.LoraScales is not null,
            cancellationToken);
    }

    /// <summary>Generates scenes that have the subjects of a bank's anchors, on a thread of the pool.</summary>
    /// <inheritdoc cref="GenerateScenes"/>
    public Task<StoryResult> GenerateScenesAsync(
        StoryBank bank, IReadOnlyList<Scene> scenes, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => GenerateScenes(bank, scenes, options, progress, cancellationToken), cancellationToken);

    /// <summary>Draws one scene of a story with anchors again; all others stay as they are.</summary>
    /// <param name="story">The story, made with <see cref="StoryOptions.Anchors"/>. It stays as it is, and the caller's.</param>
    /// <param name="index">The scene, from 0; no anchor, because the others read those.</param>
    /// <param name="replacement">What to draw in its place; without a seed it has that of the scene before. Null for the same scene with a
    /// new seed, the one after the largest of the story's.</param>
    /// <param name="options">What it is made with; see <see cref="GenerateScenes"/>.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <returns>The story with the new scene, for the caller to dispose; the other scenes are the same objects.</returns>
    /// <exception cref="ArgumentException">There is no such scene, or it is an anchor; the story has no bank; the replacement or an option
    /// is invalid. No work is performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public StoryResult RedrawScene(
        StoryResult story, int index, Scene? replacement = null, StoryOptions? options = null,
            IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        return Run(
            token => new SceneRedrawing(this, story, index, replacement, options ?? new(), progress, token).Run(),
            alone: story.Bank?.Card.Request.LoraScales is not null,
            cancellationToken);
    }

    /// <summary>Draws one scene of a story with anchors again, on a thread of the pool.</summary>
    /// <inheritdoc cref="RedrawScene"/>
    public Task<StoryResult> RedrawSceneAsync(
        StoryResult story, int index, Scene? replacement = null, StoryOptions? options = null,
            IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => RedrawScene(story, index, replacement, options, progress, cancellationToken), cancellationToken);

    /// <summary>Estimates the memory required by a story and suggests options that reduce it. Nothing is computed, and no weight is
    /// read.</summary>
    /// <param name="story">The story.</param>
    /// <param name="options">How it would be made; null for the defaults.</param>
    /// <param name="model">How the model would be loaded; null for how it is: see <see cref="PlanMemory(GenerationRequest,
    /// PipelineOptions)"/>.</param>
    /// <exception cref="ArgumentException"><paramref name="story"/> or <paramref name="options"/> is invalid.</exception>
    public MemoryPlan PlanMemory(Story story, StoryOptions? options = null, PipelineOptions? model = null)
    {
        ArgumentNullException.ThrowIfNull(story);
        return Run(token => options?.Anchors is null
            ? new StoryGeneration(this, story, options ?? new(), null, token).PlanMemory(model)
            : new AnchoredStory(this, story, options, null, token).PlanMemory(model));
    }

    /// <summary>Estimates the memory required by scenes that are drawn with a bank, and suggests options that reduce it: that of the
    /// largest batch, with the anchors where they are computed along. Nothing is computed, and no weight is read.</summary>
    /// <param name="bank">The bank.</param>
    /// <param name="scenes">The scenes.</param>
    /// <param name="options">What they would be made with; see <see cref="GenerateScenes"/>.</param>
    /// <param name="model">How the model would be loaded; null for how it is: see <see cref="PlanMemory(GenerationRequest,
    /// PipelineOptions)"/>.</param>
    /// <exception cref="ArgumentException">A scene or an option is invalid, or differs from the bank where it must not.</exception>
    public MemoryPlan PlanMemory(
        StoryBank bank, IReadOnlyList<Scene> scenes, StoryOptions? options = null, PipelineOptions? model = null)
    {
        ArgumentNullException.ThrowIfNull(bank);
        ArgumentNullException.ThrowIfNull(scenes);
        return Run(token => new BankScenes(this, bank, scenes, options ?? new(), bank.Anchors, null, token).PlanMemory(model));
    }

    /// <summary>Estimates how long a story's denoising takes. One step is measured, after one that warms: that is all that is
    /// computed.</summary>
    /// <param name="story">The story.</param>
    /// <param name="options">How it would be made; null for the defaults.</param>
    /// <param name="clock">The clock to measure by; null for the system's.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException"><paramref name="story"/> or <paramref name="options"/> is invalid. No work is
    /// performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public TimePlan PlanTime(
        Story story, StoryOptions? options = null, TimeProvider? clock = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        StoryRules.RequireScenes(story);
        clock ??= TimeProvider.System;
        return Run(
            token => options?.Anchors is null
                ? StepTimer.Plan(
                    clock, story.Scenes?.Count ?? 0, [story.Scenes?.Count ?? 0],
                    watch => new StoryGeneration(
                        this, story, (options ?? new()) with { Request = watch(options?.Request) }, null, token))
                : new AnchoredStory(this, story, options, null, token).PlanTime(clock),
            alone: options?.Request?.LoraScales is not null,
            cancellationToken);
    }

    /// <summary>Estimates how long the denoising of scenes takes that are drawn with a bank. One step is measured, after one that warms:
    /// that is all that is computed.</summary>
    /// <param name="bank">The bank.</param>
    /// <param name="scenes">The scenes.</param>
    /// <param name="options">What they would be made with; see <see cref="GenerateScenes"/>.</param>
    /// <param name="clock">The clock to measure by; null for the system's.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">A scene or an option is invalid, or differs from the bank where it must not.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public TimePlan PlanTime(
        StoryBank bank, IReadOnlyList<Scene> scenes, StoryOptions? options = null, TimeProvider? clock = null,
            CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(bank);
        ArgumentNullException.ThrowIfNull(scenes);
        return Run(
            token => new BankScenes(this, bank, scenes, options ?? new(), bank.Anchors, null, token)
                .PlanTime(clock ?? TimeProvider.System),
            alone: bank.Card.Request.LoraScales is not null,
            cancellationToken);
    }
}
