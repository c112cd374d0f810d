using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Studio.Projects;

/// <summary>A project on disk: <c>story.yaml</c>, for people and other programs; <c>project.json</c>, what else the Studio knows; and by
/// their keys or hashes, which say what they are, <c>banks</c> and <c>images</c>.</summary>
public sealed class ProjectFolder
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly string path;

    public ProjectFolder(string path)
    {
        this.path = path;
        Directory.CreateDirectory(Path.Combine(path, "images"));
        Directory.CreateDirectory(Path.Combine(path, "banks"));
    }

    public static bool IsProject(string path) => File.Exists(Path.Combine(path, "story.yaml"));

    public string ImagePath(string hash) => Path.Combine(path, "images", $"{hash}.png");

    public string BankPath(string key) => Path.Combine(path, "banks", $"{key}.storybank");

    public string BookPath(string format) => Path.Combine(path, $"book.{format}");

    /// <exception cref="DocumentException">A file is damaged.</exception>
    public ProjectFiles Load()
    {
        var story = File.Exists(Named("story.yaml")) ? StudioStory.Of(StoryFile.Load(Named("story.yaml"))) : new StudioStory();
        Record record;
        try
        {
            record = File.Exists(Named("project.json"))
                ? JsonSerializer.Deserialize<Record>(File.ReadAllText(Named("project.json")), Json)! : new([], null, [], []);
        }
        catch (JsonException exception)
        {
            throw new DocumentException(
                $"{Named("project.json")} is damaged ({exception.Message}); delete it to go on with the story and without its images.",
                exception);
        }

        return new(
            story with
            {
                Own = record.Own is { } own && File.Exists(ImagePath(own.Hash)) ? own : null,
                Scenes = [.. story.Scenes.Select((scene, i) => record.Scenes.ElementAtOrDefault(i) is { } state
                    ? scene with { Shown = state.Shown, IsLocked = state.IsLocked } : scene)],
            },
            [.. record.Takes.Where(take => File.Exists(ImagePath(take.Hash)))],
            [.. record.Jobs]);
    }

    public void Save(ProjectFiles files)
    {
        ArgumentNullException.ThrowIfNull(files);
        var story = files.Story;
        Write(Named("story.yaml"), story.ToFile().ToYaml());
        var scenes = story.Scenes.Select(scene => new SceneRecord(scene.Shown, scene.IsLocked));
        Write(Named("project.json"), JsonSerializer.Serialize(new Record([.. scenes], story.Own, files.Takes, files.Jobs), Json));
    }

    /// <summary>Keeps an image, and returns its hash.</summary>
    public string Put(byte[] png)
    {
        var hash = Convert.ToHexStringLower(SHA256.HashData(png));
        if (!File.Exists(ImagePath(hash)))
        {
            Write(ImagePath(hash), temporary => File.WriteAllBytes(temporary, png));
        }

        return hash;
    }

    /// <summary>Gets where the subjects of an image were found; null where nobody looked.</summary>
    public IReadOnlyList<SubjectResult>? FoundIn(string hash) => File.Exists(FoundPath(hash))
        ? JsonSerializer.Deserialize<IReadOnlyList<SubjectResult>>(File.ReadAllText(FoundPath(hash))) : null;

    public void PutFound(string hash, IReadOnlyList<SubjectResult> found) => Write(FoundPath(hash), JsonSerializer.Serialize(found));

    public async Task PutBankAsync(string key, Stream bank)
    {
        ArgumentNullException.ThrowIfNull(bank);
        var temporary = BankPath(key) + ".new";
        await using (var file = File.Create(temporary))
        {
            await bank.CopyToAsync(file);
        }

        File.Move(temporary, BankPath(key), overwrite: true);
    }

    private string FoundPath(string hash) => Path.Combine(path, "images", $"{hash}.json");

    private string Named(string file) => Path.Combine(path, file);

    private static void Write(string file, string text) =>
        Write(file, temporary => File.WriteAllText(temporary, text, new UTF8Encoding(false)));

    /// <summary>A file is there whole or not at all.</summary>
    private static void Write(string file, Action<string> write)
    {
        write(file + ".new");
        File.Move(file + ".new", file, overwrite: true);
    }

    private sealed record Record(
        IReadOnlyList<SceneRecord> Scenes, OwnImage? Own, IReadOnlyList<Take> Takes, IReadOnlyList<Job> Jobs);

    private sealed record SceneRecord(string? Shown, bool IsLocked);
}

/// <summary>What a project's folder holds.</summary>
public sealed record ProjectFiles(StudioStory Story, ImmutableList<Take> Takes, ImmutableList<Job> Jobs);

/// <summary>Scenes that are being drawn by the story service.</summary>
/// <param name="Id">The service's story.</param>
/// <param name="Bank">The key of the bank that it makes; null where it was given one, or none is kept.</param>
/// <param name="Wanted">For each scene of the service's story, its key; null for one that is known or not wanted.</param>
public sealed record Job(string Id, string? Bank, IReadOnlyList<WantedScene?> Wanted);

/// <summary>A take to be drawn.</summary>
public sealed record WantedScene(string Key, string Family);
