namespace StorySync.Pipelines;

/// <summary>How scenes that read anchors are cut into batches.</summary>
/// <param name="Anchors">How many anchors each batch has before its scenes.</param>
/// <param name="Scenes">How many scenes there are.</param>
/// <param name="Size">The most scenes of a batch.</param>
internal sealed record SceneBatches(int Anchors, int Scenes, int Size)
{
    /// <summary>The most scenes of a batch that is chosen: in larger ones the anchors' share of the work is small already.</summary>
    private const int MostChosen = 8;

    /// <summary>As large as asked for, or as the memory there is has room for; then all are about as large.</summary>
    /// <param name="pipeline">The model.</param>
    /// <param name="some">Some scenes of the story.</param>
    /// <param name="anchors">How many anchors each batch has.</param>
    /// <param name="scenes">How many scenes there are.</param>
    /// <param name="asked">The most scenes of a batch; null: what there is room for.</param>
    public static SceneBatches Of(DiffusionPipeline pipeline, StoryGeneration some, int anchors, int scenes, int? asked)
    {
        if (asked is { } size || scenes == 0)
        {
            return new(anchors, scenes, Math.Min(scenes, asked ?? 0));
        }

        var most = Math.Min(scenes, MostChosen);
        if (AvailableMemory.Of(pipeline.Device) is { } there)
        {
            while (most > 1 && !some.PlanMemory(null, anchors + most).Fits(there))
            {
                most--;
            }
        }

        var batches = (scenes + most - 1) / most;
        return new(anchors, scenes, (scenes + batches - 1) / batches);
    }

    /// <summary>Gets the images of the largest batch.</summary>
    public int LargestImages => Anchors + Size;

    /// <summary>Cuts scenes into batches.</summary>
    /// <param name="scenes">The indices of some or all of the scenes.</param>
    public IEnumerable<int[]> Cut(IEnumerable<int> scenes) => scenes.Chunk(Math.Max(Size, 1));

    /// <summary>Gets the images of each batch of all scenes, with all takes.</summary>
    /// <param name="takes">The takes of each scene.</param>
    public IEnumerable<int> Images(int takes) =>
        Cut(Enumerable.Range(0, Scenes)).SelectMany(batch => Enumerable.Repeat(Anchors + batch.Length, takes));
}
