using System.Collections.Immutable;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Studio.Projects;

/// <summary>A story as it is being made. Immutable, so that undoing is a step back to the one before.</summary>
public sealed record StudioStory
{
    /// <summary>Gets the story file but for its scenes.</summary>
    public StoryFile Head { get; init; } = new();

    public ImmutableList<StudioScene> Scenes { get; init; } = [];

    /// <summary>Gets an image of the subject that all scenes are drawn from; null to draw them from the first scenes.</summary>
    public OwnImage? Own { get; init; }

    /// <summary>Reads a story file. Every scene gets its seed, so that scenes can change places without being drawn again.</summary>
    public static StudioStory Of(StoryFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return new()
        {
            Head = file with { Scenes = [], Seed = null },
            Scenes = [.. file.Scenes.Select((scene, i) => new StudioScene(scene with { Seed = scene.Seed ?? (file.Seed ?? 1) + i }))],
        };
    }

    public StoryFile ToFile() => Head with { Scenes = [.. Scenes.Select(scene => scene.Written)] };

    /// <summary>Returns the scenes as the model gets them.</summary>
    /// <exception cref="DocumentException">They cannot be drawn.</exception>
    public Story ToStory() => ToFile().ToStory(Own is { } own ? [new Scene(own.Prompt)] : null);

    public StudioStory Add(string prompt) => this with
    {
        Scenes = Scenes.Add(new(new StoryFileScene(prompt) { Seed = Scenes.Select(scene => scene.Seed).DefaultIfEmpty().Max() + 1 })),
    };

    public StudioStory Remove(int scene) => this with { Scenes = Scenes.RemoveAt(scene) };

    public StudioStory Move(int scene, int by) => this with { Scenes = Scenes.RemoveAt(scene).Insert(scene + by, Scenes[scene]) };

    public StudioStory With(int scene, Func<StudioScene, StudioScene> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        return this with { Scenes = Scenes.SetItem(scene, change(Scenes[scene])) };
    }

    /// <summary>Returns another version of the story's text with the images of this one where a scene's prompt is the same.</summary>
    public StudioStory Rewritten(StoryFile file)
    {
        var read = Of(file);
        return read with
        {
            Own = Own,
            Scenes = [.. read.Scenes.Select(scene =>
                Scenes.Find(before => before.Written.Prompt == scene.Written.Prompt) is { } before
                    ? before with { Written = scene.Written } : scene)],
        };
    }
}

/// <summary>A scene of a <see cref="StudioStory"/>.</summary>
/// <param name="Written">The scene of the story file. Its seed also says which of its takes is chosen.</param>
public sealed record StudioScene(StoryFileScene Written)
{
    /// <summary>Gets the hash of the image that was last shown as the scene; null where there was none.</summary>
    public string? Shown { get; init; }

    /// <summary>Gets a value indicating whether the image stays, whatever becomes of the rest.</summary>
    public bool IsLocked { get; init; }

    public long Seed => Written.Seed ?? 0;
}

/// <summary>An image that a user brings as the subject's.</summary>
/// <param name="Hash">The SHA-256 of its file.</param>
/// <param name="Prompt">What it shows.</param>
public sealed record OwnImage(string Hash, string Prompt);

/// <summary>An image that was drawn.</summary>
/// <param name="Key">What it depends on, as a hash (<see cref="SceneKey.Key"/>).</param>
/// <param name="Family">The same without the seed: takes of one family are candidates for one scene.</param>
/// <param name="Hash">The SHA-256 of the image's file.</param>
/// <param name="Seed">The seed of its noise.</param>
/// <param name="Score">Its consistency; null where it reads no other image.</param>
/// <param name="Prompt">The prompt as the model got it.</param>
public sealed record Take(string Key, string Family, string Hash, long Seed, double? Score, string Prompt);
