using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Represents a story: scenes with common subjects.</summary>
public sealed record Story
{
    /// <summary>Gets the scenes, at least one.</summary>
    public required IReadOnlyList<Scene> Scenes { get; init; }

    /// <summary>Gets the subjects that stay the same, at least one, each with another phrase.</summary>
    public required IReadOnlyList<Subject> Subjects { get; init; }
}

/// <summary>Represents what stays the same in a story. A text converts to it: <c>Subjects = ["a red fox"]</c>.</summary>
/// <param name="Phrase">The words that stand for it in the prompts: "a red fox". An English article that leads the phrase does not count. A
/// scene can have other words for a subject, or lack it: <see cref="Scene.Subjects"/>.</param>
[JsonConverter(typeof(SubjectJsonConverter))]
public sealed record Subject(string Phrase)
{
    /// <summary>Returns the subject that a phrase stands for.</summary>
    /// <param name="phrase">The words.</param>
    public static implicit operator Subject(string phrase) => new(phrase);

    /// <summary>Returns the subject as a scene has it that speaks of it in other words.</summary>
    /// <param name="phrase">The words in that scene's prompt.</param>
    public SceneSubject As(string phrase) => new(this) { Phrase = phrase };

    /// <summary>Returns the subject as a scene has it where its place is known.</summary>
    /// <param name="mask">See <see cref="SceneSubject.Mask"/>.</param>
    public SceneSubject At(RgbImage mask) => new(this) { Mask = mask };

    /// <summary>Returns the subject as a scene has it that lacks it.</summary>
    public SceneSubject Absent() => new(this) { IsPresent = false };

    /// <inheritdoc/>
    public override string ToString() => Phrase;
}

/// <summary>Represents a scene of a story.</summary>
/// <param name="Prompt">What the scene shows.</param>
public sealed record Scene(string Prompt)
{
    /// <summary>Gets the story's subjects that the scene has in a way of its own: by other words, at a known place, or not at all. The
    /// others stand in the prompt by the story's phrase.</summary>
    public IReadOnlyList<SceneSubject> Subjects { get; init => field = value is { Count: 0 } ? [] : value; } = [];

    /// <summary>Gets the seed of the scene's noise; null to count on from the story's.</summary>
    public long? Seed { get; init; }
}

/// <summary>Represents how a scene has a subject.</summary>
/// <param name="Subject">The subject, one of the story's.</param>
public sealed record SceneSubject(Subject Subject)
{
    /// <summary>Gets the words that stand for the subject in the scene's prompt; null for the subject's own.</summary>
    public string? Phrase { get; init; }

    /// <summary>Gets where the subject is: white there, at any resolution but in the image's proportions; null to find it. With a mask the
    /// prompt needs no word for the subject.</summary>
    public RgbImage? Mask { get; init; }

    /// <summary>Gets a value indicating whether the scene has the subject. Default true.</summary>
    public bool IsPresent { get; init; } = true;
}
