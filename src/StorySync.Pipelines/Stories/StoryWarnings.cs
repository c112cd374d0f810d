using System.Globalization;
using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>What the caller of a story should know of: options and scenes' settings without effect, and subjects that were not
/// found.</summary>
/// <param name="story">The batch's story, anchors first, without a cast.</param>
/// <param name="origin">Where the batch comes from.</param>
/// <param name="warnings">Where to tell it.</param>
internal sealed class StoryWarnings(Story story, StoryBatchOrigin origin, WarningList warnings)
{
    private IEnumerable<Scene> Drawn => story.Scenes.Skip(origin.Anchors);

    /// <summary>Adds warnings for options without effect.</summary>
    /// <param name="options">The options.</param>
    /// <param name="techniques">The techniques, with the model's where the options say nothing.</param>
    /// <param name="pipeline">The model.</param>
    public void TellOfOptions(StoryOptions options, StoryAttentionOptions techniques, DiffusionPipeline pipeline)
    {
        warnings.AddIf(
            options.Techniques?.Sharing?.MatchPositions == true && !pipeline.HasRotaryPositions,
            "Techniques.Sharing.MatchPositions has no effect: this model's attention keys carry no positions.");
        warnings.AddIf(
            options.SameNoise && Drawn.All(scene => scene.Seed is not null),
            "SameNoise has no effect: every scene has a seed of its own.");
        warnings.AddIf(
            techniques.Placement is { Until: 0 } or { Strength: 0 }
                && story.Scenes.Any(scene => scene.Subjects.Any(own => own is not { Region: null, RegionMask: null })),
            "Techniques.Placement is off: the regions of subjects do not place them.");
        warnings.AddIf(
            techniques.Location is { Strength: 0, Alpha: 0 } && StoryRules.HasLocations(story),
            "Techniques.Location is off: scenes of one location share nothing of it.");
    }

    /// <summary>Adds warnings for options for stories of another kind, where all scenes read each other.</summary>
    /// <param name="options">The options.</param>
    /// <param name="usual">The model's own techniques. Options that are as they are there, or without any value, ask for nothing.</param>
    /// <param name="guidance">Whether there is a negative half.</param>
    public void TellOfOptionsForOthers(StoryOptions options, StoryAttentionOptions usual, bool guidance)
    {
        if (origin is not { Bank: null, IsAnchored: false })
        {
            return;
        }

        const string withoutAnchors = " has no effect: it is for scenes that read anchors; set StoryOptions.Anchors.";
        warnings.AddIf(options.Candidates > 1, nameof(options.Candidates) + withoutAnchors);
        warnings.AddIf(options.Scorer is not null, nameof(options.Scorer) + withoutAnchors);
        warnings.AddIf(options.BatchSize is not null, nameof(options.BatchSize) + withoutAnchors);
        warnings.AddIf(options.BankForm is not null, nameof(options.BankForm) + withoutAnchors);
        warnings.AddIf(options.BankKeysDtype is not null, nameof(options.BankKeysDtype) + withoutAnchors);
        warnings.AddIf(
            options.Techniques?.Placement is { Until: not 0, Strength: not 0 } placement && placement != usual.Placement
                && placement != new PlacementOptions()
                && !story.Scenes.Any(scene => scene.Subjects.Any(own => own is not { Region: null, RegionMask: null })),
            "Techniques.Placement has no effect: no scene gives a subject a region (Subject.In).");
        warnings.AddIf(
            options.Techniques?.Location is { } location and not { Strength: 0, Alpha: 0 } && location != usual.Location
                && location != new LocationOptions() && !StoryRules.HasLocations(story),
            "Techniques.Location has no effect: no scene has a Location.");
        warnings.AddIf(
            options.Techniques?.NegativeHalf is { } half && half != usual.NegativeHalf && !guidance,
            "Techniques.NegativeHalf has no effect: guidance is off, so that there is no negative half.");
    }

    /// <summary>Adds warnings for windows that were given, other than the model's own, and are empty: others have a step in every
    /// run.</summary>
    /// <param name="techniques">The techniques as they were given.</param>
    /// <param name="usual">The model's own.</param>
    /// <param name="steps">The number of steps.</param>
    public void TellOfWindows(StoryAttentionOptions? techniques, StoryAttentionOptions usual, int steps)
    {
        if (origin.Bank is not null)
        {
            return;
        }

        (string Name, StepRange? Given, StepRange? Usual)[] windows =
        [
            ("Sharing", techniques?.Sharing?.Steps, usual.Sharing!.Steps),
            ("Harmonization", techniques?.Harmonization?.Steps, usual.Harmonization!.Steps),
            ("Location", techniques?.Location?.Steps, usual.Location!.Steps),
        ];
        foreach (var (name, window, own) in windows)
        {
            warnings.AddIf(
                window is not null && window != own && window.From == window.To,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Techniques.{name} has no effect: none of the {steps} steps is in its Steps, {window?.From} to {window?.To}."));
        }
    }

    /// <summary>Adds warnings for locations that only one scene has. An anchor's is not: scenes can be drawn there later.</summary>
    public void TellOfLocations()
    {
        foreach (var (i, location) in Drawn.Select(scene => scene.Location).Index())
        {
            var name = origin.NameOf(origin.Anchors + i);
            if (origin.Bank is { } bank)
            {
                warnings.AddIf(
                    location is not null && bank.Card.Story.Scenes.All(anchor => anchor.Location != location),
                    $"{name}: no anchor has the location \"{location}\", so that it has no effect; scenes of a bank share their background "
                        + "with anchors only.");
            }
            else
            {
                warnings.AddIf(
                    location is not null && !origin.IsAnchored && story.Scenes.Count(other => other.Location == location) == 1,
                    $"{name}: no other scene has the location \"{location}\", so that it has no effect; a location is for scenes that "
                        + "share their background.");
            }
        }
    }

    /// <summary>Adds warnings for subjects that were not found, and for regions that placed nothing.</summary>
    /// <param name="scenes">What was drawn, without the anchors.</param>
    /// <param name="unplaced">The regions that were too small, by scene and subject of the batch.</param>
    public void TellOfSubjects(IEnumerable<SceneResult> scenes, IEnumerable<(int Scene, int Subject)> unplaced)
    {
        foreach (var (index, scene) in scenes.Index())
        {
            var row = origin.Anchors + index;
            foreach (var lost in scene.Subjects.Where(found => found.Region is not { Area: > 0 }
                && StoryRules.InScene(story, row, found.Subject) is { IsPresent: true, Mask: null }))
            {
                warnings.Add(
                    GenerationWarningCode.SubjectNotFound,
                    $"{origin.NameOf(row)}: the subject \"{lost.Subject}\" was not found in the image, so that it took no part in the "
                        + "story.");
            }
        }

        foreach (var (row, subject) in unplaced.Where(region => region.Scene >= origin.Anchors))
        {
            warnings.Add(
                GenerationWarningCode.OptionWithoutEffect,
                $"{origin.NameOf(row)}: the region of \"{story.Subjects[subject]}\" is smaller than the cells of the model's grids, so "
                    + "that it had no effect; make it larger.");
        }
    }
}
