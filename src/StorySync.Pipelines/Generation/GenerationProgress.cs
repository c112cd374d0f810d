using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Represents the progress of a generation.</summary>
public sealed class GenerationProgress
{
    /// <summary>Gets the current stage.</summary>
    public required GenerationStage Stage { get; init; }

    /// <summary>Gets the number of denoising steps made so far.</summary>
    public required int Step { get; init; }

    /// <summary>Gets the number of denoising steps in all.</summary>
    public required int Steps { get; init; }

    /// <summary>Gets the time since the generation began. It never decreases.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Gets the time that the remaining steps will take, judged by those made; null before the first is made.</summary>
    public TimeSpan? Remaining { get; init; }

    /// <summary>Gets what the images are going to look like, if previews were asked for (<see cref="GenerationRequest.PreviewInterval"/>)
    /// and one is due: the clean latents that the model predicts in this step, decoded by
    /// <see cref="DiffusionPipeline.PreviewDecoder"/> or, without one, painted one pixel for each of them by a linear fit. Null too where
    /// the model has neither decoder nor fit: docs/models.md tells which have one, and how to give one.</summary>
    public IReadOnlyList<RgbImage>? Previews { get; init; }
}

/// <summary>Specifies the stages of a generation.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<GenerationStage>))]
public enum GenerationStage
{
    /// <summary>Prompts are encoded.</summary>
    Encoding,

    /// <summary>Latents are denoised.</summary>
    Denoising,

    /// <summary>Latents are decoded into images.</summary>
    Decoding,

    /// <summary>The generation is complete.</summary>
    Done,
}
