using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <summary>Represents a story to be drawn. Plain data: it round-trips through System.Text.Json.</summary>
public sealed record StoryDocument
{
    /// <summary>Gets the story.</summary>
    public required Story Story { get; init; }

    /// <summary>Gets how it is made; null (default) for the defaults. Without <see cref="StoryOptions.Anchors"/> the first two scenes are
    /// anchors, or the only one. <see cref="StoryOptions.BatchSize"/> is the number of scenes that a worker draws at a time, by default 1:
    /// a scene then has the same bits on whichever worker of one kind it is drawn.</summary>
    public StoryOptions? Options { get; init; }

    /// <summary>Gets the model, as <see cref="Extensions.StorySyncModelOptions.Model"/> names it; null (default) for the first of the
    /// cluster.</summary>
    public string? Model { get; init; }
}
