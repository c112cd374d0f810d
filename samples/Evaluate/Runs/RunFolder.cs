namespace StorySync.Samples.Evaluate;

/// <summary>Where the stories of an evaluation are kept, so that none is made twice.</summary>
internal sealed class RunFolder(string root)
{
    public string Root => root;

    public string FolderOf(StoryJob job) => Path.Combine(FolderOf(job.Variant), $"{Safe(job.Story)}-{job.Seed}");

    /// <summary>Every finished job of a variant.</summary>
    /// <exception cref="InvalidDataException">A record is of another version of this program.</exception>
    public IReadOnlyList<StoryRecord> All(string variant) => Directory.Exists(FolderOf(variant))
        ?
        [
            .. Directory.EnumerateFiles(FolderOf(variant), "record.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(path => Json.Read<StoryRecord>(path) with { Folder = Path.GetDirectoryName(path)! }),
        ]
        : [];

    /// <summary>The record of a finished job; null if it is not finished, was another one, or has lost a picture.</summary>
    public StoryRecord? Find(StoryJob job)
    {
        var path = RecordOf(job);
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            var record = Json.Read<StoryRecord>(path) with { Folder = FolderOf(job) };
            return record.Job.IsAs(job) && job.Prompts.Index().All(scene => File.Exists(record.Picture(scene.Index))) ? record : null;
        }
        catch (InvalidDataException)
        {
            // Of another version of this program: made again.
            return null;
        }
    }

    /// <summary>Keeps a record; its pictures must be there already, so that a job with a record is a finished one.</summary>
    public void Keep(StoryRecord record) => WholeFile.Write(RecordOf(record.Job), Json.Text(record));

    private string FolderOf(string variant) => Path.Combine(root, "stories", Safe(variant));

    private string RecordOf(StoryJob job) => Path.Combine(FolderOf(job), "record.json");

    /// <summary>A name as a folder's.</summary>
    public static string Safe(string name) => string.Concat(name.Select(c => char.IsLetterOrDigit(c) || c is '.' or '-' ? c : '_'));
}
