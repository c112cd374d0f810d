namespace StorySync.Pipelines;

/// <summary>A story: scenes with common subjects.</summary>
public sealed record Story
{
    /// <summary>The scenes, at least one.</summary>
    public required IReadOnlyList<Scene> Scenes { get; init; }

    /// <summary>The subjects that are to stay the same, each by the phrase that stands for it in the prompts ("a red fox"), at least
    /// one. An English article that leads the phrase does not count. A scene can have other words for a subject, or lack it:
    /// <see cref="Scene.Subjects"/>.</summary>
    public required IReadOnlyList<string> Subjects { get; init; }
}

/// <summary>A scene of a story.</summary>
/// <param name="Prompt">What is to be seen.</param>
public sealed record Scene(string Prompt)
{
    /// <summary>For each subject of the story the phrase that stands for it in this prompt, or null where the scene lacks it; null for
    /// the story's own phrases.</summary>
    public IReadOnlyList<string?>? Subjects { get; init; }

    /// <summary>The seed of the scene's noise; null to count on from <see cref="StoryOptions.Seed"/>.</summary>
    public long? Seed { get; init; }

    /// <summary>For each subject of the story its mask, white where it is, at any resolution but in the picture's proportions, or null
    /// to find it; null to find all.</summary>
    public IReadOnlyList<RgbImage?>? Masks { get; init; }
}
