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

    /// <summary>Tells of options without effect.</summary>
    /// <param name="options">The options.</param>
    /// <param name="techniques">The techniques, with the model's where the options say nothing.</param>
    /// <param name="pipeline">The model.</param>
    public void TellOfOptions(StoryOptions options, StoryAttentionOptions techniques, DiffusionPipeline pipeline)
    {
        warnings.AddIf(
            options.Techniques?.Sharing?.MatchPositions == true && !pipeline.HasRotaryPositions,
            "Techniques.Sharing.MatchPositions has no effect: this model's attention keys carry no positions.");
        warnings.AddIf(
            options.Candidates > 1 && origin is { Bank: null, IsAnchored: false },
            "Candidates has no effect: takes are of scenes that read anchors; set StoryOptions.Anchors.");
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

    /// <summary>Tells of locations that are a scene's alone. An anchor's is not: scenes can be drawn there later.</summary>
    public void TellOfLocations()
    {
        foreach (var (i, location) in Drawn.Select(scene => scene.Location).Index())
        {
            var name = origin.NameOf(origin.Anchors + i);
            if (origin.Bank is not null)
            {
                warnings.AddIf(
                    location is not null && story.Scenes.Take(origin.Anchors).All(anchor => anchor.Location != location),
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

    /// <summary>Tells of subjects that were not found, and of regions that placed nothing.</summary>
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
