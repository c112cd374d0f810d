namespace StorySync.Pipelines;

/// <summary>Represents the progress of loading a model.</summary>
public sealed class LoadProgress
{
    /// <summary>Gets the part that is loaded next, by its folder: <c>unet</c>, <c>vae</c>.</summary>
    public required string Part { get; init; }

    /// <summary>Gets the number of parts that are loaded.</summary>
    public required int Loaded { get; init; }
}
