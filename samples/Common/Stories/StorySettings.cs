using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Everything that a run of the sample needs to know.</summary>
internal sealed record StorySettings
{
    public required string Model { get; init; }

    public required PipelineOptions Pipeline { get; init; }

    /// <summary>The scenes to draw, and their subjects.</summary>
    public required Story Story { get; init; }

    /// <summary>The bank that the scenes are drawn with; null to make the story from nothing. It is the caller's.</summary>
    public StoryBank? Bank { get; init; }

    /// <summary>The file that receives the story's bank; null for none.</summary>
    public string? SaveBank { get; init; }

    /// <summary>The one scene to draw, from 0, of a story whose pictures are there; null to draw all.</summary>
    public int? Redraw { get; init; }

    /// <summary>The seed of the scene that is drawn again; null for the one after the largest of the story.</summary>
    public long? RedrawSeed { get; init; }

    /// <summary>The story with the bank's anchors before its scenes.</summary>
    public Story WithAnchors => Bank is null ? Story : Story with { Scenes = [.. Bank.Card.Story.Scenes, .. Story.Scenes] };

    /// <summary>Where each scene was given: a place in a file or an option.</summary>
    public required IReadOnlyList<string> ScenePlaces { get; init; }

    public required StoryOptions Options { get; init; }

    /// <summary>How <see cref="WithAnchors"/> would be made in one run.</summary>
    public StoryOptions Planned => Bank is null ? Options : Options with
    {
        Anchors = Bank.Portraits.Count, BankForm = Bank.Card.Form,
    };

    public required bool WithPlain { get; init; }

    public required bool WithMasks { get; init; }

    public required string Output { get; init; }
}
