using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Everything that a run of the program needs to know.</summary>
internal sealed record EvaluationSettings
{
    public required string Model { get; init; }

    public required string Clip { get; init; }

    public required PipelineOptions Pipeline { get; init; }

    public required IReadOnlyList<PromptStory> Stories { get; init; }

    public required IReadOnlyList<Variant> Variants { get; init; }

    public required int Scenes { get; init; }

    public required long Seed { get; init; }

    public required int Repeats { get; init; }

    public required string Output { get; init; }

    /// <summary>The seed of a story's first scene. Stories and repetitions lie so far apart that no two scenes begin from one noise.</summary>
    public long SeedOf(int story, int repeat) => Seed + (100L * story) + (100_000L * repeat);
}
