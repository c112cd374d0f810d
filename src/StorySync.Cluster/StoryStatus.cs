using System.Text.Json.Serialization;

namespace StorySync.Cluster;

/// <summary>Specifies how far a story or a scene is.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StoryState>))]
public enum StoryState
{
    /// <summary>It waits for a worker.</summary>
    Queued,

    /// <summary>It is being drawn.</summary>
    Drawing,

    /// <summary>All of it is drawn.</summary>
    Finished,

    /// <summary>It could not be drawn; its error tells why.</summary>
    Failed,

    /// <summary>It was deleted.</summary>
    Canceled,
}

/// <summary>Represents how far a story is.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
public sealed record StoryStatus
{
    /// <summary>Gets the story's id.</summary>
    public required string Id { get; init; }

    /// <summary>Gets how far the story is: finished when all scenes are, failed when one is and none is left to draw.</summary>
    public required StoryState State { get; init; }

    /// <summary>Gets the scenes, in order.</summary>
    public required IReadOnlyList<SceneStatus> Scenes { get; init; }

    /// <summary>Gets why the story failed; null where it did not.</summary>
    public string? Error { get; init; }

    /// <summary>Gets the number of stories whose turn comes before this one's; null where nothing of it waits. A turn is a few
    /// scenes.</summary>
    public int? QueuePosition { get; init; }

    /// <summary>Gets the seconds until the story ends, judged by the scenes that were drawn lately and the workers there are; null where
    /// nothing of it is left to draw, or nothing was drawn yet.</summary>
    public double? EstimatedSeconds { get; init; }
}

/// <summary>Represents how far a scene is.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
public sealed record SceneStatus
{
    /// <summary>Gets the scene's index, from 0.</summary>
    public required int Index { get; init; }

    /// <summary>Gets the prompt as the model gets it, with the names of the story's cast written out.</summary>
    public required string Prompt { get; init; }

    /// <summary>Gets how far its last take is.</summary>
    public required StoryState State { get; init; }

    /// <summary>Gets the takes that are drawn, in order.</summary>
    public IReadOnlyList<TakeStatus> Takes { get; init; } = [];

    /// <summary>Gets why the last take failed; null where it did not.</summary>
    public string? Error { get; init; }
}

/// <summary>Represents an image of a scene.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
public sealed record TakeStatus
{
    /// <summary>Gets the SHA-256 of the PNG file, in hexadecimal digits.</summary>
    public required string Hash { get; init; }

    /// <summary>Gets the seed that its noise came from.</summary>
    public required long Seed { get; init; }

    /// <summary>Gets its <see cref="Pipelines.SceneResult.Consistency"/>; null for anchors.</summary>
    public double? Score { get; init; }
}

/// <summary>Represents what a watcher of a story is told: a status, or a step of a scene.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
public sealed record StoryUpdate
{
    /// <summary>Gets the story's status, if it changed; null where a step was made.</summary>
    public StoryStatus? Status { get; init; }

    /// <summary>Gets the scene in which a step was made, from 0; null where the status changed.</summary>
    public int? Scene { get; init; }

    /// <summary>Gets the number of denoising steps made so far.</summary>
    public int Step { get; init; }

    /// <summary>Gets the number of denoising steps in all.</summary>
    public int Steps { get; init; }

    /// <summary>Gets what the scene is going to look like, as a PNG file, if <see cref="Pipelines.GenerationRequest.PreviewInterval"/> asks
    /// for it and one is due; null otherwise.</summary>
    public byte[]? Preview { get; init; }
}
