using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Everything that a run of the program needs to know.</summary>
internal sealed record EvaluationSettings
{
    public required string Model { get; init; }

    public required string Clip { get; init; }

    public required PipelineOptions Pipeline { get; init; }

    /// <summary>The device that computes: what "auto" comes to on this machine.</summary>
    public required string Device { get; init; }

    public required IReadOnlyList<PromptStory> Stories { get; init; }

    public required IReadOnlyList<Variant> Variants { get; init; }

    public required int Scenes { get; init; }

    public required long Seed { get; init; }

    public required int Repeats { get; init; }

    /// <summary>The jobs by story: the story in each variant.</summary>
    /// <exception cref="UserErrorException">A story has too few settings.</exception>
    public IReadOnlyList<IReadOnlyList<StoryJob>> Jobs() =>
    [
        .. from repeat in Enumerable.Range(0, Repeats)
           from story in Stories.Index()
           select Variants.Select(variant => Job(variant, story.Item, SeedOf(story.Index, repeat))).ToArray(),
    ];

    /// <summary>The seed of a story's first scene. Stories and repetitions are so far apart that no two scenes begin from one
    /// noise.</summary>
    public long SeedOf(int story, int repeat) => Seed + (100L * story) + (100_000L * repeat);

    /// <summary>The story as a variant makes it, of as many scenes as asked for: prompts come again in their order.</summary>
    /// <param name="variant">The variant.</param>
    /// <param name="story">The story.</param>
    /// <param name="scenes">The number of scenes.</param>
    public StoryJob LongJob(Variant variant, PromptStory story, int scenes) => Job(
        variant with { Scenes = scenes },
        story with { Settings = [.. Enumerable.Range(0, scenes).Select(scene => story.Settings[scene % story.Settings.Count])] },
        Seed);

    private StoryJob Job(Variant variant, PromptStory story, long seed)
    {
        var scenes = variant.Scenes ?? Scenes;
        return story.Settings.Count >= scenes
            ? new StoryJob
            {
                Model = Model,
                Clip = Clip,
                Device = Device,
                Dtype = Pipeline.Dtype.ToString(),
                Variant = variant.Name,
                Story = story.Name,
                Subject = story.Phrase,
                Prompts = [.. story.Prompts.Take(scenes)],
                Options = variant.Options with { Request = (variant.Options.Request ?? new()) with { Seed = seed } },
                Damage = variant.Damage,
                AnchorsFrom = variant.AnchorsFrom,
                FirstNew = Variants.Max(other => other.Options.Anchors) is { } anchors && anchors < scenes ? anchors : null,
            }
            : throw new UserErrorException(
                $"The story '{story.Name}' has {English.Count(story.Settings.Count, "setting")}; {English.Count(scenes, "scene")} need as "
                    + $"many. --scenes takes fewer.");
    }
}
