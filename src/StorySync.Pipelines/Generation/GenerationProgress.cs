namespace StorySync.Pipelines;

/// <summary>How far a run is.</summary>
/// <param name="Stage">What is being done.</param>
/// <param name="Step">Denoising steps made so far.</param>
/// <param name="Steps">Denoising steps in all.</param>
/// <param name="Elapsed">Time since the first step began.</param>
public sealed record GenerationProgress(GenerationStage Stage, int Step, int Steps, TimeSpan Elapsed)
{
    /// <summary>The time that the steps left will take, judged by those made; null before the first is made.</summary>
    public TimeSpan? Remaining => Step == 0 ? null : Elapsed / Step * (Steps - Step);

    /// <summary>What the pictures look like so far, if a preview was asked for and is due.</summary>
    public IReadOnlyList<RgbImage>? Previews { get; init; }
}

/// <summary>The parts of a run.</summary>
public enum GenerationStage
{
    /// <summary>Prompts are encoded.</summary>
    Encoding,

    /// <summary>Latents are denoised.</summary>
    Denoising,

    /// <summary>Latents are decoded into pictures.</summary>
    Decoding,

    /// <summary>The run is over.</summary>
    Done,
}
