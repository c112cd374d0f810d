using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>Represents what a <see cref="StoryBank"/> says of itself. Plain data: it round-trips through System.Text.Json.</summary>
public sealed record StoryBankCard
{
    /// <summary>The version of the form of banks that this library writes and reads, 1.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Gets the version of the bank's form.</summary>
    public required int Version { get; init; }

    /// <summary>Gets what the bank keeps of the anchors.</summary>
    public StoryBankForm Form { get; init; }

    /// <summary>Gets the class of the pipeline that made the anchors: <c>StableDiffusionXLPipeline</c> for example.</summary>
    public required string Pipeline { get; init; }

    /// <summary>Gets the model that made the anchors: a SHA-256 over its configs and a sample of its weights, in hexadecimal
    /// digits.</summary>
    public required string Model { get; init; }

    /// <summary>Gets the LoRAs that were on the model, each with its scale and a SHA-256 over a sample of its weights.</summary>
    public required IReadOnlyList<string> Loras { get; init; }

    /// <summary>Gets the type that the model computed in.</summary>
    public required string Dtype { get; init; }

    /// <summary>Gets the settings that the anchors were made with, defaults filled in. Scenes are drawn with the same ones.</summary>
    public required GenerationRequest Request { get; init; }

    /// <summary>Gets the techniques, every member set.</summary>
    public required StoryAttentionOptions Techniques { get; init; }

    /// <summary>Gets the anchors as a story: their scenes, and the subjects that further scenes have too.</summary>
    public required Story Story { get; init; }

    /// <summary>Gets the seed of each anchor's noise.</summary>
    public required IReadOnlyList<long> Seeds { get; init; }

    /// <summary>Gets the timestep of every model call.</summary>
    public required IReadOnlyList<float> Timesteps { get; init; }

    /// <summary>Gets the noise level of every model call, and the final one after them; empty for schedulers that go by alphas.</summary>
    public required IReadOnlyList<float> Sigmas { get; init; }
}
