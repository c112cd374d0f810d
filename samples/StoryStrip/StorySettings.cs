using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Everything that a run of the sample needs to know.</summary>
internal sealed record StorySettings
{
    public required string Model { get; init; }

    public required PipelineOptions Pipeline { get; init; }

    public required Story Story { get; init; }

    /// <summary>Where each scene was given: a place in a file or an option.</summary>
    public required IReadOnlyList<string> ScenePlaces { get; init; }

    public required StoryOptions Options { get; init; }

    public required bool WithPlain { get; init; }

    /// <summary>The file of the bank that the scenes are drawn with; null for none.</summary>
    public string? Bank { get; init; }

    /// <summary>The file that the bank of the story's anchors is written to; null for none.</summary>
    public string? SaveBank { get; init; }

    public required bool WithMasks { get; init; }

    public required string Output { get; init; }
}
