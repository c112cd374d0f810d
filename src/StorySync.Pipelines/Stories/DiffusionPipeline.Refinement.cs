namespace StorySync.Pipelines;

// Finished stories that are drawn again from their images.
public abstract partial class DiffusionPipeline
{
    /// <summary>Draws a finished story again from its own images: at a larger size (<see cref="GenerationRequest.Width"/> and
    /// <see cref="GenerationRequest.Height"/>), in another style or with another model, its subjects still the same in all
    /// scenes.</summary>
    /// <remarks>
    /// <para>It is <see cref="GenerateStory"/> of <see cref="StoryResult.ToStory"/> with the images as
    /// <see cref="GenerationRequest.Images"/>: these are resized by <see cref="RgbImage.Resize"/>, get the noise of their scenes' seeds,
    /// and the final <see cref="GenerationRequest.Strength"/> of the steps is run, with the masks that were found. 0.3 to 0.5 is usual for
    /// twice the size; more changes more. A model has to know the larger size.</para>
    /// <para>Where the story has anchors (<see cref="StoryResult.Bank"/>), as many first scenes are anchors again, all others read those
    /// alone, batch by batch, and the result has a bank of its own.</para>
    /// </remarks>
    /// <param name="story">The finished story. It stays as it is, and the caller's.</param>
    /// <param name="replacement">What to draw from the images: <see cref="StoryResult.ToStory"/> with other prompts, for another style; as
    /// many scenes. Null (default) for the story as it was.</param>
    /// <param name="options">How it is drawn, of which nothing is taken from the finished story but the number of anchors; its request has
    /// no <see cref="GenerationRequest.Images"/>. Null for the defaults: the images' size, the model's strength.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <returns>The story with the new images, for the caller to dispose.</returns>
    /// <exception cref="ArgumentException"><paramref name="replacement"/> or <paramref name="options"/> is invalid, or the size has other
    /// proportions than the images. No work is performed.</exception>
    /// <inheritdoc cref="Generate" path="/exception[not(contains(@cref, 'ArgumentException'))]"/>
    public StoryResult RefineStory(
        StoryResult story, Story? replacement = null, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(story);
        var refined = StoryRefinement.Of(story, replacement, options);
        return GenerateStory(refined.Story, refined.Options, progress, cancellationToken);
    }

    /// <summary>Draws a finished story again from its own images, on a thread of the pool.</summary>
    /// <inheritdoc cref="RefineStory"/>
    public Task<StoryResult> RefineStoryAsync(
        StoryResult story, Story? replacement = null, StoryOptions? options = null, IProgress<GenerationProgress>? progress = null,
            CancellationToken cancellationToken = default) =>
        Task.Run(() => RefineStory(story, replacement, options, progress, cancellationToken), cancellationToken);

    /// <summary>Estimates the memory that <see cref="RefineStory"/> would take.</summary>
    /// <exception cref="ArgumentException">The replacement or an option is invalid.</exception>
    internal MemoryPlan PlanMemory(StoryResult story, Story? replacement, StoryOptions? options)
    {
        var refined = StoryRefinement.Of(story, replacement, options);
        return PlanMemory(refined.Story, refined.Options);
    }

    /// <summary>Estimates the memory that <see cref="RedrawScene"/> would take.</summary>
    /// <exception cref="ArgumentException">There is no such scene, it is an anchor, or an option is invalid.</exception>
    internal MemoryPlan PlanMemory(StoryResult story, int index, Scene? replacement, StoryOptions? options) =>
        Run(token => new SceneRedrawing(this, story, index, replacement, options ?? new(), null, token).PlanMemory());
}
