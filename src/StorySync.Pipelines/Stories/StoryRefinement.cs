namespace StorySync.Pipelines;

/// <summary>A finished story that is drawn again from its own images.</summary>
internal static class StoryRefinement
{
    /// <summary>Returns the story and the options to draw it with.</summary>
    /// <param name="finished">The finished story.</param>
    /// <param name="replacement">What to draw from its images; null for the story as it was.</param>
    /// <param name="options">How it is drawn; null for the defaults.</param>
    /// <exception cref="ArgumentException">The replacement has other scenes, or the options have images.</exception>
    public static (Story Story, StoryOptions Options) Of(StoryResult finished, Story? replacement, StoryOptions? options)
    {
        var request = options?.Request ?? new();
        RequestRules.Require(
            request.Images is null,
            "StoryOptions.Request has Images; a story is refined from its own. Leave them out, or begin from other ones by GenerateStory.");
        RequestRules.Require(
            replacement?.Scenes is not { Count: var count } || count == finished.Scenes.Count,
            $"The replacement has {replacement?.Scenes?.Count} scenes, the story {finished.Scenes.Count}; each image begins one scene.");
        return (replacement ?? finished.ToStory(), (options ?? new()) with
        {
            Anchors = options?.Anchors ?? finished.Bank?.Anchors,
            Request = request with { Images = [.. finished.Scenes.Select(scene => scene.Image)] },
        });
    }
}
