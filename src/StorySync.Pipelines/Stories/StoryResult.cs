using System.Collections.ObjectModel;
using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents a story in images. Dispose the instance to release its latents and its bank.</summary>
public sealed class StoryResult : IDisposable
{
    private readonly ResultLatents latents = new(null);

    /// <summary>Gets the scenes, in order.</summary>
    public required IReadOnlyList<SceneResult> Scenes { get; init; }

    /// <summary>Gets how long the stages took.</summary>
    public required GenerationTimings Timings { get; init; }

    /// <summary>Gets what the caller should know of the generation: options without effect, prompts that were cut, and the like.</summary>
    public IReadOnlyList<GenerationWarning> Warnings { get; init; } = [];

    /// <summary>Gets the bank of the story's anchors, which is disposed with the result; null where <see cref="StoryOptions.Anchors"/> was
    /// not given. It is not part of the result's JSON.</summary>
    [JsonIgnore]
    public StoryBank? Bank { get; internal init; }

    /// <summary>Gets the latents that the images were decoded from, one row per scene. They are not part of the result's JSON.</summary>
    /// <exception cref="ObjectDisposedException">The result was disposed.</exception>
    /// <exception cref="InvalidOperationException">The result was read from JSON.</exception>
    [JsonIgnore]
    public Tensor Latents
    {
        get => latents.Of(this);
        internal init => latents = new(value);
    }

    /// <summary>Returns the story as it was drawn, for it to be drawn again from its images
    /// (<see cref="DiffusionPipeline.RefineStory"/>): the prompts as the model got them, without a cast; each scene's seed; and each
    /// subject where it was found, as a mask of the image's size, in place of a region that it was given. A subject that was not found is
    /// looked for again.</summary>
    public Story ToStory() => new()
    {
        Subjects = [.. Scenes[0].Subjects.Select(found => found.Subject)],
        Scenes = [.. Scenes.Select(scene => scene.ToScene())],
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        latents.Dispose();
        Bank?.Dispose();
    }
}

/// <summary>Represents a scene in an image.</summary>
public sealed class SceneResult
{
    /// <summary>Gets the scene.</summary>
    public required Scene Scene { get; init; }

    /// <summary>Gets the prompt as the model got it: the scene's, with the names of the story's cast written out.</summary>
    public required string Prompt { get; init; }

    /// <summary>Gets its image.</summary>
    public required RgbImage Image { get; init; }

    /// <summary>Gets the seed that its noise came from.</summary>
    public required long Seed { get; init; }

    /// <summary>Gets how much the scene's subjects are like those of the anchors it reads, −1 … 1, higher for more: for each subject the
    /// mean final latents of its cells, on the grid of its mask, are compared with those of each anchor that has it, by their cosine; this
    /// is the mean over anchors and subjects, with −1 for a subject that was not found. It tells takes of a scene apart, by their subjects'
    /// mean color in the first place; <see cref="StoryOptions.Scorer"/> puts another in its place. Null where no anchor is read, or scene
    /// and anchors have no subject in common.</summary>
    public double? Consistency { get; init; }

    /// <summary>Gets the story's subjects, in its order, as the image has them.</summary>
    public required IReadOnlyList<SubjectResult> Subjects { get; init; }

    /// <summary>See <see cref="StoryResult.ToStory"/>.</summary>
    internal Scene ToScene()
    {
        // A mask has the proportions of what it is for.
        var (width, height) = Scene.Image is { } own ? (own.Width, own.Height) : (Image.Width, Image.Height);
        return Scene with
        {
            Prompt = Prompt,
            Seed = Seed,
            States = ReadOnlyDictionary<string, string>.Empty,
            Subjects = [.. Subjects.Select(InScene)],
        };

        SceneSubject InScene(SubjectResult found)
        {
            if (found.Region is not { } region)
            {
                return found.Subject.Absent();
            }

            var own = Scene.Subjects.FirstOrDefault(own => own.Subject == found.Subject) ?? new SceneSubject(found.Subject);
            return own.Mask is not null || region.Area == 0
                ? own : own with { Mask = region.ToImage(width, height), Region = null, RegionMask = null };
        }
    }
}

/// <summary>Represents a subject in an image.</summary>
public sealed class SubjectResult
{
    /// <summary>Gets the subject.</summary>
    public required Subject Subject { get; init; }

    /// <summary>Gets where it is; null where the scene lacks it.</summary>
    public SubjectRegion? Region { get; init; }
}
