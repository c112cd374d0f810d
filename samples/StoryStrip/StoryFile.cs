using StorySync.Pipelines;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace StorySync.Samples.StoryStrip;

/// <summary>A story in a file: YAML, or JSON, which is YAML too.</summary>
internal sealed record StoryFile
{
    public List<string> Subjects { get; set; } = [];

    public List<StoryFileScene> Scenes { get; set; } = [];

    public string? Negative { get; set; }

    public long? Seed { get; set; }

    public int? Steps { get; set; }

    public double? Guidance { get; set; }

    public int? Width { get; set; }

    public int? Height { get; set; }

    /// <summary>The folder that paths in the file start from.</summary>
    [YamlIgnore]
    public string Folder { get; init; } = ".";

    /// <summary>The story that is told when none is given. What the frog looks like is left open.</summary>
    public static StoryFile Default { get; } = new()
    {
        Subjects = ["a frog"],
        Seed = 307,
        Scenes =
        [
            new() { Prompt = "a frog sitting in the forest" },
            new() { Prompt = "a frog holding a balloon at the beach" },
            new() { Prompt = "a frog standing in the snow" },
            new() { Prompt = "a frog waving in the city" },
        ],
    };

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is no story.</exception>
    public static StoryFile Load(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no story '{path}'.", path);
        }

        try
        {
            var reader = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).Build();
            var file = reader.Deserialize<StoryFile?>(File.ReadAllText(path)) ?? throw new InvalidDataException($"'{path}' is empty; it needs subjects and scenes.");
            return file with { Folder = Path.GetDirectoryName(path)! };
        }
        catch (YamlException exception)
        {
            throw new InvalidDataException($"'{path}', line {exception.Start.Line}: {(exception.InnerException ?? exception).Message}", exception);
        }
    }

    /// <param name="subjects">Subjects that go before the file's own.</param>
    public Story ToStory(string[]? subjects) => new()
    {
        Subjects = subjects is { Length: > 0 } ? subjects : Subjects,
        Scenes = [.. Scenes.Select(scene => new Scene(scene.Prompt)
        {
            Subjects = scene.Subjects,
            Seed = scene.Seed,
            Masks = scene.Masks is null ? null : [.. scene.Masks.Select(mask => mask is null ? null : RgbImage.Load(Path.Combine(Folder, mask)))],
        })],
    };
}

/// <summary>A scene in a file.</summary>
internal sealed record StoryFileScene
{
    public string Prompt { get; set; } = "";

    /// <summary>See <see cref="Scene.Subjects"/>.</summary>
    public List<string?>? Subjects { get; set; }

    public long? Seed { get; set; }

    /// <summary>Picture files; see <see cref="Scene.Masks"/>.</summary>
    public List<string?>? Masks { get; set; }
}
