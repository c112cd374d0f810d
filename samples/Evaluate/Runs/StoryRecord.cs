using System.Text.Json.Serialization;
using StorySync.Evaluation;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>What came of a job, as it is kept in a file. The images are in the same folder.</summary>
internal sealed record StoryRecord
{
    public required StoryJob Job { get; init; }

    public required IReadOnlyList<long> Seeds { get; init; }

    /// <summary>For each scene the rows of its mask, <c>#</c> where the subject is; null where none was found.</summary>
    public required IReadOnlyList<string[]?> Masks { get; init; }

    public required StoryMeasures Measures { get; init; }

    /// <summary>The measures of the new scenes by themselves; null where no variant has anchors.</summary>
    public StoryMeasures? NewScenes { get; init; }

    /// <summary>The new scenes against the anchors; null where no variant has anchors.</summary>
    public AnchorMeasures? AgainstAnchors { get; init; }

    public required double Seconds { get; init; }

    public required double SecondsPerScene { get; init; }

    /// <summary>The most memory that the process held during the run, in MiB. On a CUDA device its memory is not in it.</summary>
    public required double PeakMiB { get; init; }

    /// <summary>The folder of the record and its images.</summary>
    [JsonIgnore]
    public string Folder { get; init; } = "";

    public string Image(int scene) => Path.Combine(Folder, $"{scene + 1}.png");

    public SubjectRegion? Region(int scene) => Masks[scene] is { } rows
        ? new SubjectRegion(rows[0].Length, rows.Length, [.. rows.SelectMany(row => row.Select(cell => cell == '#'))])
        : null;

    public static string[]? Rows(SubjectRegion? region) => region is null
        ? null
        : [.. region.Cells.ToArray().Chunk(region.Width).Select(row => string.Concat(row.Select(cell => cell ? '#' : '.')))];
}
