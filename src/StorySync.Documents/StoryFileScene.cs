using System.Collections.ObjectModel;
using StorySync.Pipelines;

namespace StorySync.Documents;

/// <summary>Represents a scene of a <see cref="StoryFile"/>.</summary>
/// <param name="Prompt">What the scene shows.</param>
public sealed record StoryFileScene(string Prompt)
{
    /// <summary>Gets for each subject of the story, in its order, the phrase that stands for it in the prompt, null where the scene lacks
    /// it; null for the story's own phrases.</summary>
    public IReadOnlyList<string?>? Subjects { get; init; }

    /// <summary>Gets, by the name of a character of the cast, how it is in this scene.</summary>
    public IReadOnlyDictionary<string, string> States { get; init; } = ReadOnlyDictionary<string, string>.Empty;

    /// <summary>Gets the scene's seed; null to count on from the story's.</summary>
    public long? Seed { get; init; }

    /// <summary>Gets for each subject of the story, in its order, its mask, white where it is, null to find it; null to find all.</summary>
    public IReadOnlyList<StoryFileImage?>? Masks { get; init; }

    /// <summary>Gets where subjects are to be.</summary>
    public IReadOnlyList<StoryFileRegion> Regions { get; init; } = [];

    /// <summary>Gets where the scene is; scenes that name the same location share their background. Null: it shares none.</summary>
    public string? Location { get; init; }

    /// <summary>Gets the text below the image in a book; null for none.</summary>
    public string? Caption { get; init; }

    /// <summary>Gets what is said in the scene, in order, for a book's speech bubbles.</summary>
    public IReadOnlyList<StoryFileLine> Dialogue { get; init; } = [];

    /// <summary>Gets where the scene stands, for messages; null where it was not read.</summary>
    public DocumentPlace? Place { get; init; }
}

/// <summary>Represents a line of dialogue of a <see cref="StoryFileScene"/>.</summary>
/// <param name="Who">Who speaks: the phrase of a subject, or the name of a character of the cast; any other name is of somebody whom the
/// image does not show.</param>
/// <param name="Says">What is said.</param>
public sealed record StoryFileLine(string Who, string Says);

/// <summary>Represents where a subject is to be in a <see cref="StoryFileScene"/>: a box or an image.</summary>
/// <param name="Of">The subject's phrase, or the name of a character of the cast.</param>
public sealed record StoryFileRegion(string Of)
{
    /// <summary>Gets the box; null where there is an image.</summary>
    public RegionBox? Box { get; init; }

    /// <summary>Gets an image that is white where the subject is to be; null where there is a box.</summary>
    public StoryFileImage? ImageFile { get; init; }

    /// <summary>Gets where the region stands, for messages; null where it was not read.</summary>
    public DocumentPlace? Place { get; init; }
}

/// <summary>Represents an image that a <see cref="StoryFile"/> names.</summary>
/// <param name="File">The file, relative to the story's folder.</param>
/// <param name="Image">The image in it.</param>
public sealed record StoryFileImage(string File, RgbImage Image);
