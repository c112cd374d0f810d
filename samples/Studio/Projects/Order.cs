using StorySync.Attention;
using StorySync.Cluster;
using StorySync.Pipelines;

namespace StorySync.Samples.Studio.Projects;

/// <summary>What the story service is to draw.</summary>
/// <param name="Document">The story.</param>
/// <param name="FromBank">The key of the bank that it is drawn with; null to draw one.</param>
/// <param name="IntoBank">The key to keep the new bank by; null to keep none.</param>
/// <param name="Wanted">As of <see cref="Job.Wanted"/>.</param>
public sealed record Order(StoryDocument Document, string? FromBank, string? IntoBank, IReadOnlyList<WantedScene?> Wanted)
{
    /// <summary>Returns the order for the scenes that are not up to date; null where all are.</summary>
    /// <param name="story">The story.</param>
    /// <param name="keys">Its keys.</param>
    /// <param name="has">Whether there is a take with a key.</param>
    /// <param name="hasBank">Whether the bank is there.</param>
    /// <param name="own">The user's image; null where there is none.</param>
    /// <param name="only">The one scene that is wanted; null for all.</param>
    public static Order? OfStale(
        StudioStory story, StoryKeys keys, Func<string, bool> has, bool hasBank, RgbImage? own, int? only = null)
    {
        ArgumentNullException.ThrowIfNull(story);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(has);
        var anchors = keys.Anchors;
        int[] stale = [.. Enumerable.Range(0, keys.Scenes.Count)
            .Where(i => (i < anchors || (only ?? i) == i) && !story.Scenes[i].IsLocked && !has(keys.Scenes[i].Key))];
        if (stale.Length == 0)
        {
            return null;
        }

        int[] further = [.. stale.Where(i => i >= anchors)];
        if (hasBank && further.Length == stale.Length)
        {
            return With(story, keys, [.. further.Select(i => (i, story.Scenes[i].Seed))]);
        }

        var whole = story.ToStory();
        int[] drawn = [.. Enumerable.Range(0, anchors), .. further];
        Scene[] first = story.Own is { } image ? [new Scene(image.Prompt) { Image = own, Seed = 0 }] : [];
        return new(
            Form(whole with { Scenes = [.. first, .. drawn.Select(i => whole.Scenes[i])] }, story, Math.Max(1, anchors)),
            FromBank: null,
            keys.Bank,
            [.. first.Select(_ => default(WantedScene)), .. drawn.Select(i => new WantedScene(keys.Scenes[i].Key, keys.Scenes[i].Family))]);
    }

    /// <summary>Returns the order for further takes of a scene that is drawn from the bank.</summary>
    public static Order OfCandidates(StudioStory story, StoryKeys keys, int scene, IEnumerable<long> seeds)
    {
        ArgumentNullException.ThrowIfNull(keys);
        return With(story, keys, [.. seeds.Select(seed => (scene, seed))]);
    }

    /// <summary>Returns the order for the plain model's images.</summary>
    public static Order? OfPlain(StudioStory story, StoryKeys keys, Func<string, bool> has)
    {
        ArgumentNullException.ThrowIfNull(story);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(has);
        var whole = story.ToStory();
        int[] missing = [.. Enumerable.Range(0, keys.Scenes.Count).Where(i => !has(keys.Scenes[i].Plain))];
        if (missing.Length == 0)
        {
            return null;
        }

        var document = Form(whole with { Scenes = [.. missing.Select(i => whole.Scenes[i])] }, story, anchors: 1);
        return new(
            document with { Options = document.Options! with { Techniques = StoryAttentionOptions.Disabled } },
            FromBank: null,
            IntoBank: null,
            [.. missing.Select(i => new WantedScene(keys.Scenes[i].Plain, keys.Scenes[i].Plain))]);
    }

    private static Order With(StudioStory story, StoryKeys keys, IReadOnlyList<(int Scene, long Seed)> takes)
    {
        var whole = story.ToStory();
        var document = Form(
            whole with { Scenes = [.. takes.Select(take => whole.Scenes[take.Scene] with { Seed = take.Seed })] }, story, anchors: null);
        return new(
            document,
            keys.Bank,
            IntoBank: null,
            [
                .. Enumerable.Repeat(default(WantedScene), Math.Max(1, keys.Anchors)),
                .. takes.Select(take => keys.Wanted(take.Scene, take.Seed)),
            ]);
    }

    private static StoryDocument Form(Story story, StudioStory studio, int? anchors)
    {
        var options = studio.ToFile().ToOptions();
        return new()
        {
            Story = story,
            Options = options with { Anchors = anchors, Request = options.Request! with { PreviewInterval = 1, Seed = 1 } },
        };
    }
}
