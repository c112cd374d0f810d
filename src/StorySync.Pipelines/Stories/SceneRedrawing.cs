using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>One scene of a finished story, drawn again with the story's bank.</summary>
internal sealed class SceneRedrawing
{
    private readonly StoryResult story;
    private readonly int index;
    private readonly BankScenes drawing;

    /// <exception cref="ArgumentException">The story has no such scene, no bank, or the scene is an anchor; or the replacement or an option
    /// is invalid.</exception>
    public SceneRedrawing(
        DiffusionPipeline pipeline, StoryResult story, int index, Scene? replacement, StoryOptions options,
        IProgress<GenerationProgress>? progress, CancellationToken cancellationToken)
    {
        (this.story, this.index) = (story, index);
        RequestRules.Require(
            index >= 0 && index < story.Scenes.Count,
            $"index is {index}; the story has {story.Scenes.Count} scenes, from 0 to {story.Scenes.Count - 1}.");
        RequestRules.Require(
            story.Bank is not null,
            "The story has no bank, so that each of its scenes depends on all others; generate it with StoryOptions.Anchors, and its "
                + "scenes can be drawn again one by one.");
        var bank = story.Bank!;
        RequestRules.Require(
            index >= bank.Anchors,
            $"Scene {index + 1} is an anchor: the other scenes read it, and would have to be drawn again too. Generate the story again "
                + "with " + (bank.Anchors < story.Scenes.Count
                    ? $"another seed for it, or draw one of the scenes from {bank.Anchors + 1} on again."
                    : "another seed for it."));
        var before = story.Scenes[index];
        var scene = replacement ?? before.Scene with { Seed = story.Scenes.Max(one => one.Seed) + 1 };
        drawing = new BankScenes(
            pipeline, bank, [scene.Seed is null ? scene with { Seed = before.Seed } : scene], options, index,
            progress is null ? null : new BatchProgress(progress), cancellationToken);
    }

    /// <summary>Returns the memory that it takes.</summary>
    public MemoryPlan PlanMemory() => drawing.PlanMemory(null);

    public StoryResult Run()
    {
        using var drawn = drawing.Run();
        using var scope = NewDisposeScope();
        var latents = story.Latents.clone();
        using (var place = latents.narrow(0, index, 1))
        {
            place.copy_(drawn.Latents);
        }

        return new StoryResult
        {
            Scenes = [.. story.Scenes.Select((scene, i) => i == index ? drawn.Scenes[0] : scene)],
            Latents = latents.DetachFromDisposeScope(),
            Timings = drawn.Timings,
            Warnings = drawn.Warnings,
            Bank = story.Bank!.Share(),
        };
    }
}
