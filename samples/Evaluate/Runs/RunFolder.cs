using System.Text;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Where the stories of an evaluation are kept, so that none is made twice.</summary>
/// <param name="folder">The folder of the evaluation.</param>
internal sealed class RunFolder(OutputFolder folder)
{
    /// <summary>A folder's name has at most 255 bytes nearly everywhere; the seed is added to it.</summary>
    private const int MostBytes = 200;

    /// <summary>What Windows opens as a device.</summary>
    private static readonly string[] Devices =
        ["con", "prn", "aux", "nul", .. Enumerable.Range(0, 10).SelectMany(i => new[] { $"com{i}", $"lpt{i}" })];

    /// <summary>Gets the folder in full: files are written to it by paths that the output folder would take as relative to
    /// itself.</summary>
    public string Root { get; } = Path.GetFullPath(folder.Path);

    public string FolderOf(StoryJob job) => Path.Combine(FolderOf(job.Variant), $"{Safe(job.Story)}-{job.Seed}");

    /// <summary>Every finished job of a variant.</summary>
    /// <exception cref="UserErrorException">A record is of another version of this program.</exception>
    public IReadOnlyList<StoryRecord> All(string variant) => Directory.Exists(FolderOf(variant))
        ?
        [
            .. Directory.EnumerateFiles(FolderOf(variant), "record.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(path => Json.Read<StoryRecord>(path, "record") with { Folder = Path.GetDirectoryName(path)! }),
        ]
        : [];

    /// <summary>The record of a finished job; null if it is not finished, was another one, or has lost an image.</summary>
    public StoryRecord? Find(StoryJob job)
    {
        var path = RecordOf(job);
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            var record = Json.Read<StoryRecord>(path, "record") with { Folder = FolderOf(job) };
            return record.Job.IsAs(job) && job.Prompts.Index().All(scene => File.Exists(record.Image(scene.Index))) ? record : null;
        }
        catch (DocumentException)
        {
            // Of another version of this program: made again.
            return null;
        }
    }

    /// <summary>Keeps a record; its images must be there already, so that a job with a record is a finished one.</summary>
    public void Keep(StoryRecord record) => folder.Write(RecordOf(record.Job), Encoding.UTF8.GetBytes(Json.Text(record)));

    /// <summary>Writes an image of a job.</summary>
    public void Keep(string path, RgbImage image) => folder.Write(path, image.EncodePng());

    private string FolderOf(string variant) => Path.Combine(Root, "stories", Safe(variant));

    private string RecordOf(StoryJob job) => Path.Combine(FolderOf(job), "record.json");

    /// <summary>A name as a folder's: without separators, without dots at its ends (".." is the folder above), and no device's.</summary>
    public static string Safe(string name)
    {
        var safe = string.Concat(name.Select(c => char.IsLetterOrDigit(c) || c is '.' or '-' ? c : '_'));
        var (leading, trailing) = (safe.Length - safe.TrimStart('.').Length, safe.Length - safe.TrimEnd('.').Length);
        return leading == safe.Length || Devices.Contains(safe.Split('.')[0].ToLowerInvariant())
            ? $"_{safe.Replace('.', '_')}"
            : new string('_', leading) + safe[leading..^trailing] + new string('_', trailing);
    }

    /// <summary>Refuses a name that is too long for a folder.</summary>
    /// <param name="what">What has the name: "story".</param>
    /// <param name="name">The name.</param>
    /// <exception cref="UserErrorException">The name is too long.</exception>
    public static string Checked(string what, string name) => Encoding.UTF8.GetByteCount(Safe(name)) is var bytes && bytes > MostBytes
        ? throw new UserErrorException(
            $"the name of the {what} '{name[..20]}…' has {bytes} bytes; it names a folder too, and may have {MostBytes}.")
        : name;
}
