using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Everything that a run of the sample needs to know.</summary>
internal sealed record StorySettings
{
    public required string Model { get; init; }

    public required PipelineOptions Pipeline { get; init; }

    public required ModelAdditions Additions { get; init; }

    /// <summary>The scenes to draw, and their subjects.</summary>
    public required Story Story { get; init; }

    /// <summary>How many of the first scenes are images of the user's.</summary>
    public int Images { get; init; }

    /// <summary>How many times as large the scenes are drawn a second time; null for not.</summary>
    public int? Hires { get; init; }

    /// <summary>The share of the steps that the second time runs.</summary>
    public required double HiresStrength { get; init; }

    /// <summary>The bank that the scenes are drawn with; null to make the story from nothing. It is the caller's.</summary>
    public StoryBank? Bank { get; init; }

    /// <summary>The file that receives the story's bank; null for none.</summary>
    public string? SaveBank { get; init; }

    /// <summary>The one scene to draw, from 0, of a story whose images are there; null to draw all.</summary>
    public int? Redraw { get; init; }

    /// <summary>The image whose story is made again; null to make a new one.</summary>
    public OriginalImage? From { get; init; }

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

    /// <summary>How <see cref="WithAnchors"/> would be made in one run, for its memory: at the size of the second time if there is
    /// one.</summary>
    public StoryOptions PlannedFor(DiffusionPipeline pipeline)
    {
        var request = Options.Request!;
        return Hires is null ? Planned : Planned with
        {
            Request = Enlarged(request, request.Width ?? pipeline.DefaultSize.Width, request.Height ?? pipeline.DefaultSize.Height) with
            {
                Strength = null,
            },
        };
    }

    /// <summary>The request of the second time.</summary>
    /// <param name="request">That of the first time.</param>
    /// <param name="width">The width then.</param>
    /// <param name="height">The height then.</param>
    public GenerationRequest Enlarged(GenerationRequest request, int width, int height)
    {
        var (factor, most) = (Hires!.Value, GenerationRequest.MaxSide);
        return (long)factor * Math.Max(width, height) <= most
            ? request with { Width = factor * width, Height = factor * height, Strength = HiresStrength, PreviewInterval = 0 }
            : throw new UserErrorException(
                $"--hires is '{factor}', but {factor} times {width}×{height} has more than {most} pixels a side.");
    }

    public required bool WithPlain { get; init; }

    public required bool WithMasks { get; init; }

    public required string Output { get; init; }
}
