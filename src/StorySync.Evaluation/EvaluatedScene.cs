using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Represents a scene to measure, from any source.</summary>
/// <param name="Prompt">What was asked for.</param>
/// <param name="Image">The image.</param>
/// <param name="Subjects">For each subject of the story where it is; null, or an empty region, where the scene lacks it.</param>
public sealed record EvaluatedScene(string Prompt, RgbImage Image, IReadOnlyList<SubjectRegion?> Subjects)
{
    /// <summary>Returns the scenes of a story that was made here.</summary>
    /// <param name="story">The story.</param>
    public static IReadOnlyList<EvaluatedScene> Of(StoryResult story)
    {
        ArgumentNullException.ThrowIfNull(story);
        return [.. story.Scenes.Select(scene =>
            new EvaluatedScene(scene.Prompt, scene.Image, [.. scene.Subjects.Select(subject => subject.Region)]))];
    }

    internal SubjectRegion? Region(int subject) => Subjects[subject] is { Area: > 0 } region ? region : null;
}
