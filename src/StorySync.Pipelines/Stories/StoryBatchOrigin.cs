namespace StorySync.Pipelines;

/// <summary>Where a batch of scenes comes from.</summary>
/// <param name="Bank">The bank whose anchors the scenes read; null for none.</param>
/// <param name="Places">Each scene's index among those that are asked for; null where the batch is all of them.</param>
/// <param name="IsAnchored">Whether the scenes are anchors, or read them, so that nothing of one may depend on its place in the
/// batch.</param>
/// <param name="Take">Which of a scene's takes it is, from 0; null where there is one.</param>
internal sealed record StoryBatchOrigin(
    StoryBank? Bank = null, IReadOnlyList<int>? Places = null, bool IsAnchored = false, int? Take = null)
{
    private const long SeedsBetweenTakes = 1000;

    /// <summary>Gets what a take's seed is above the scene's.</summary>
    public long SeedOffset => SeedsBetweenTakes * (Take ?? 0);

    /// <summary>Gets how many anchors are computed along, before the scenes.</summary>
    public int Anchors => Bank?.ComputedAnchors ?? 0;

    /// <summary>Returns a scene's index among those that are asked for.</summary>
    public int PlaceOf(int scene) => Places?[scene] ?? scene;

    /// <summary>Returns what messages call a row of the batch.</summary>
    public string NameOf(int row) => row - Anchors is >= 0 and var scene
        ? $"Scene {PlaceOf(scene) + 1}{(Take is { } take ? $", take {take + 1}" : "")}" : $"Anchor {row + 1}";
}
