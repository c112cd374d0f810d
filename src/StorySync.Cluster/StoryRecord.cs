namespace StorySync.Cluster;

/// <summary>What a story's grain stores.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed class StoryRecord
{
    /// <summary>Gets or sets the settled document as JSON: with a seed, a number of anchors, and a model.</summary>
    public string Document { get; set; } = "";

    /// <summary>Gets or sets the file of the bank, which is there when the anchors are drawn.</summary>
    public string Bank { get; set; } = "";

    /// <summary>Gets or sets the takes of each scene.</summary>
    public List<List<TakeRecord>> Scenes { get; set; } = [];

    /// <summary>Gets or sets the number of jobs so far; the first is that of the anchors.</summary>
    public int Jobs { get; set; }
}

/// <summary>A take: one that is to be drawn, one that is drawn, or one that could not be drawn.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed class TakeRecord
{
    /// <summary>Gets or sets the scene as JSON where it is another than the story's; null for that.</summary>
    public string? Replacement { get; set; }

    public long Seed { get; set; }

    /// <summary>Gets or sets the job that draws it, maybe with others.</summary>
    public int Job { get; set; }

    /// <summary>Gets or sets how often a worker began to draw it.</summary>
    public int Begun { get; set; }

    public DrawnScene? Drawn { get; set; }

    public string? Error { get; set; }

    public bool IsPending() => Drawn is null && Error is null;
}

/// <summary>What a queue's grain stores.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed class QueueRecord
{
    /// <summary>Gets or sets the stories that have scenes to draw.</summary>
    public List<string> Stories { get; set; } = [];
}
