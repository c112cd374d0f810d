using System.Collections.Immutable;
using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Makes a story's pictures on any model, its subjects the same in all of them (StorySync, arXiv 2508.03735): subject masks
/// from the attention to the subjects' words, masked cross-image attention sharing, regional feature harmonization, base layout
/// interpolation.</summary>
/// <remarks>All scenes are denoised as one batch. A story keeps nothing in the pipeline or the model, so that several can be made at
/// once on one model. With every technique off, or with one scene, the latents are the plain pipeline's to the last bit.</remarks>
/// <param name="pipeline">The model; it stays the caller's.</param>
public sealed class StoryPipeline(DiffusionPipeline pipeline)
{
    /// <summary>Makes a story's pictures.</summary>
    /// <param name="story">The story.</param>
    /// <param name="options">How it is made; null for the defaults.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="cancellationToken">Stops the run between layers.</param>
    /// <exception cref="ArgumentException">The story or an option is no good; nothing was computed.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public StoryResult Generate(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        options ??= new();
        StoryRules.Check(story);
        var generation = new Generation(pipeline, Request(story, options), progress, cancellationToken);
        StoryRules.CheckMasks(story, generation.Width, generation.Height);

        using var scope = NewDisposeScope();
        using var attention = new StoryAttention(
            options.Techniques ?? pipeline.DefaultTechniques,
            Subjects(story),
            story.Scenes.Count,
            generation.Guidance,
            options.Seed,
            guidanceEnd: options.GuidanceEnd);
        var result = generation.Run(attention);
        var scenes = story.Scenes.Select((scene, i) => new SceneResult(
            scene,
            result.Images[i],
            result.Seeds[i],
            [.. story.Subjects.Select((_, s) => Region(attention, story, i, s))]));
        return new StoryResult([.. scenes], result.Latents, result.Timings);
    }

    /// <summary>Makes a story's pictures on another thread.</summary>
    /// <inheritdoc cref="Generate"/>
    public Task<StoryResult> GenerateAsync(
        Story story, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => Generate(story, options, progress, cancellationToken), cancellationToken);

    /// <summary>Tells what memory a story will take and what would make it less. Nothing is computed, and no weight is read.</summary>
    /// <param name="story">The story.</param>
    /// <param name="options">How it would be made; null for the defaults.</param>
    /// <param name="model">How the model would be loaded; null for how it is: see <see cref="DiffusionPipeline.PlanMemory"/>.</param>
    /// <exception cref="ArgumentException">The story or an option is no good.</exception>
    public MemoryPlan PlanMemory(Story story, StoryOptions? options = null, PipelineOptions? model = null)
    {
        ArgumentNullException.ThrowIfNull(story);
        options ??= new();
        StoryRules.Check(story);
        var generation = new Generation(pipeline, Request(story, options), null, CancellationToken.None);
        var techniques = options.Techniques ?? pipeline.DefaultTechniques;
        using var attention = new StoryAttention(techniques, [], story.Scenes.Count, generation.Guidance);
        var hasBase = attention.BatchAt(0, options.Steps ?? pipeline.DefaultSteps).HasBase;
        return generation.PlanMemory(model, hasBase, shares: story.Scenes.Count > 1 && techniques.Sharing.Strength > 0);
    }

    private static SubjectRegion? Region(StoryAttention attention, Story story, int scene, int subject) =>
        StoryRules.Has(story, scene, subject) && attention.MaskOf(scene, subject) is { } mask ? SubjectRegion.FromTensor(mask) : null;

    private static GenerationRequest Request(Story story, StoryOptions options) => new()
    {
        Prompts = [.. story.Scenes.Select(scene => scene.Prompt)],
        NegativePrompts = options.NegativePrompt is { } negative ? [negative] : null,
        Height = options.Height,
        Width = options.Width,
        Steps = options.Steps,
        GuidanceScale = options.GuidanceScale,
        GuidanceEnd = options.GuidanceEnd,
        BlockCacheThreshold = options.BlockCacheThreshold,
        Seeds = [.. story.Scenes.Select((scene, i) => scene.Seed ?? (options.SameNoise ? options.Seed : options.Seed + i))],
        PreviewInterval = options.PreviewInterval,
    };

    private IReadOnlyList<StorySubject> Subjects(Story story) =>
        [.. story.Subjects.Select((name, s) => new StorySubject(name, [.. story.Scenes.Select((scene, i) => Tokens(story, i, s))])
        {
            Masks = story.Scenes.Any(scene => scene.Masks?[s] is not null)
                ? [.. story.Scenes.Select(scene => scene.Masks?[s] is { } mask ? mask.WithoutAlpha().ToMask() : null)]
                : null,
        })];

    private ImmutableArray<int> Tokens(Story story, int scene, int subject)
    {
        if (StoryRules.PhraseOf(story, scene, subject) is not { } phrase)
        {
            return [];
        }

        try
        {
            return pipeline.Tokenize(story.Scenes[scene].Prompt).PositionsOf(StoryRules.WithoutArticle(phrase));
        }
        catch (ArgumentException exception)
        {
            throw new ArgumentException($"Scene {scene + 1}: {exception.Message} If the scene lacks the subject, say so in Scene.Subjects.", exception);
        }
    }
}
