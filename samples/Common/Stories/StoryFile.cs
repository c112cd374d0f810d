using System.Collections.ObjectModel;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>A story in a YAML or JSON file; <c>Stories/story.schema.json</c> describes the format.</summary>
internal sealed partial record StoryFile
{
    private static readonly string[] Keys = ["subjects", "cast", "scenes", "negative", "seed", "steps", "guidance", "width", "height"];
    private static readonly string[] SceneKeys = ["prompt", "subjects", "states", "seed", "masks", "regions", "location"];
    private static readonly string[] BoxKeys = ["left", "top", "width", "height"];
    private static readonly string[] CharacterKeys = ["description", "aliases", "noun"];

    public IReadOnlyList<string> Subjects { get; init; } = [];

    public IReadOnlyList<StoryFileCharacter> Cast { get; init; } = [];

    public IReadOnlyList<StoryFileScene> Scenes { get; init; } = [];

    public string? Negative { get; init; }

    public long? Seed { get; init; }

    public int? Steps { get; init; }

    public double? Guidance { get; init; }

    public int? Width { get; init; }

    public int? Height { get; init; }

    /// <summary>The story that is told when none is given. What the frog looks like is left open.</summary>
    public static StoryFile Default { get; } = new()
    {
        Subjects = ["a frog"],
        Seed = 307,
        Scenes =
        [
            new("a frog sitting in the forest"),
            new("a frog holding a balloon at the beach"),
            new("a frog standing in the snow"),
            new("a frog waving in the city"),
        ],
    };

    /// <summary>Reads a story and its masks.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">The file is missing or no story; the message names line and key.</exception>
    public static StoryFile Load(string path)
    {
        var root = DocumentReader.Read(path, "story");
        var entries = root.RequireMap("a story", Keys);
        var subjects = Phrases(entries.GetValueOrDefault("subjects"));
        var masks = new Dictionary<string, RgbImage>(StringComparer.Ordinal);
        var scenes = entries.GetValueOrDefault("scenes");
        var file = new StoryFile
        {
            Subjects = subjects,
            Cast = Value(entries, "cast") is { } cast ? [.. cast.RequireMap("the cast").Select(one => Character(one.Key, one.Value))] : [],
            Scenes = [.. (scenes?.RequireList("scenes") ?? []).Select(scene => Scene(scene, Path.GetDirectoryName(path)!, masks))],
            Negative = Text(entries, "negative"),
            Seed = Whole(entries, "seed", NumberRange.Any),
            Steps = (int?)Whole(entries, "steps", Ranges.Steps),
            Guidance = Value(entries, "guidance") is { } node
                ? node.Check(() => NumberRange.Any.Parse("guidance", node.RequireText("guidance")))
                : null,
            Width = (int?)Whole(entries, "width", Ranges.Side),
            Height = (int?)Whole(entries, "height", Ranges.Side),
        };
        if (file.Scenes.Count == 0)
        {
            throw (scenes ?? root).Error("the story has no scenes; 'scenes' must list at least one prompt.");
        }

        return file;
    }

    /// <summary>The same scenes with the subjects and cast of a bank.</summary>
    /// <exception cref="UserErrorException">The story has others.</exception>
    public StoryFile On(StoryBank bank)
    {
        var anchors = bank.Card.Story;
        string[] phrases = [.. anchors.Subjects.Select(subject => subject.Phrase)];
        if ((Subjects.Count > 0 && !Subjects.SequenceEqual(phrases))
            || (Cast.Count > 0 && JsonSerializer.Serialize(Cast.Select(one => one.Character)) != JsonSerializer.Serialize(anchors.Cast)))
        {
            throw new UserErrorException(
                $"The story has other {(Subjects.Count > 0 ? "subjects" : "characters in its 'cast'")} than the bank, whose are "
                    + $"{string.Join(", ", [.. phrases, .. anchors.Cast.Select(one => one.Name)])}; leave them out, or give the same.");
        }

        return this with { Subjects = phrases, Cast = [.. anchors.Cast.Select(one => new StoryFileCharacter(one, ""))] };
    }

    /// <summary>Creates further scenes of a story, for a bank. Each has a seed.</summary>
    /// <param name="anchors">The scenes of the bank.</param>
    /// <param name="seed">The seed of the first scene without one.</param>
    /// <param name="sameNoise">Whether the others have the same seed, in place of the next one each.</param>
    /// <exception cref="UserErrorException">A scene does not fit the story.</exception>
    public Story ToStory(IReadOnlyList<Scene> anchors, long seed, bool sameNoise)
    {
        var story = ToStory(anchors);
        return story with
        {
            Scenes = [.. story.Scenes.Select((scene, i) => scene with { Seed = scene.Seed ?? seed + (sameNoise ? 0 : i) })],
        };
    }

    /// <summary>Creates the story for the pipeline.</summary>
    /// <param name="anchors">Scenes before those of the file, which characters may be in too.</param>
    /// <exception cref="UserErrorException">There is no subject, a scene's list of subjects or masks does not match those of the story, or
    /// the cast cannot be written out in the prompts.</exception>
    public Story ToStory(IReadOnlyList<Scene>? anchors = null)
    {
        if (Subjects.Count == 0 && Cast.Count == 0)
        {
            throw new UserErrorException(
                "The story has no subject; --subject, or 'subjects' in the story file, gives the phrase that stands for the character in "
                    + "the prompts, or 'cast' there gives characters names.");
        }

        Subject[] subjects = [.. Subjects];
        var story = new Story
        {
            Subjects = subjects,
            Cast = [.. Cast.Select(one => one.Character)],
            Scenes = [.. Scenes.Select(scene => ToScene(scene, subjects))],
        };
        try
        {
            _ = (story with { Scenes = [.. anchors ?? [], .. story.Scenes] }).ExpandCast();
            return story;
        }
        catch (ArgumentException exception)
        {
            throw new UserErrorException(AtPlace(exception.Message, anchors?.Count ?? 0), exception);
        }
    }

    /// <summary>A fault of the cast with its place.</summary>
    private string AtPlace(string fault, int anchors)
    {
        var place = OfScene().Match(fault) is { Success: true } scene
            ? Scenes.ElementAtOrDefault(int.Parse(scene.Groups[1].ValueSpan, CultureInfo.InvariantCulture) - 1 - anchors)?.Place
            : Cast.FirstOrDefault(one => fault.StartsWith($"The character \"{one.Character.Name}\"", StringComparison.Ordinal))?.Place;
        return string.IsNullOrEmpty(place) ? fault : $"{place}: {fault}";
    }

    private Scene ToScene(StoryFileScene scene, Subject[] subjects)
    {
        CheckCount(scene, "subjects", scene.Subjects?.Count);
        CheckCount(scene, "masks", scene.Masks?.Count);
        var own = new List<SceneSubject>();
        if (scene is not { Subjects: null, Masks: null })
        {
            own.AddRange(subjects.Select((subject, s) => new SceneSubject(subject)
            {
                Phrase = scene.Subjects?[s],
                Mask = scene.Masks?[s],
                IsPresent = scene.Subjects is null || scene.Subjects[s] is not null || scene.Masks?[s] is not null,
            }));
        }

        foreach (var region in scene.Regions)
        {
            var subject = Array.Find(subjects, subject => subject.Phrase == region.Of)
                ?? Cast.FirstOrDefault(one => one.Character.Name == region.Of)?.Character.Subject()
                ?? throw new UserErrorException(
                    $"{region.Place}: '{region.Of}' is neither a subject nor a name of the cast; known are "
                        + $"{string.Join(", ", subjects.Select(s => s.Phrase).Concat(Cast.Select(one => one.Character.Name)))}.");
            var had = own.Find(one => one.Subject == subject) ?? new SceneSubject(subject);
            if (!had.IsPresent)
            {
                throw new UserErrorException($"{region.Place}: '{region.Of}' has a region, but its entry in 'subjects' is null: the scene "
                    + "lacks it.");
            }

            own.Remove(had);
            own.Add(had with { Region = region.Box, RegionMask = region.Mask });
        }

        return new Scene(scene.Prompt) { Seed = scene.Seed, States = scene.States, Location = scene.Location, Subjects = own };
    }

    private void CheckCount(StoryFileScene scene, string key, int? count)
    {
        if (count is { } given && given != Subjects.Count)
        {
            throw new UserErrorException(
                $"{scene.Place}: '{key}' has {English.Count(given, "entry")}, but the story has "
                    + $"{English.Count(Subjects.Count, "subject")}; each needs one, null for none.");
        }
    }

    private static StoryFileCharacter Character(string name, DocumentNode node)
    {
        if (string.IsNullOrWhiteSpace(name))
        {
            throw node.Error("a character of the cast has an empty name.");
        }

        if (node is ScalarNode)
        {
            return new StoryFileCharacter(new Character(name, NotEmpty(node, "a description")), node.Place);
        }

        var entries = node.RequireMap("a character", CharacterKeys);
        var description = Value(entries, "description") ?? throw node.Error("a character needs a 'description'.");
        return new StoryFileCharacter(
            new Character(name, NotEmpty(description, "description"))
            {
                Aliases = [.. (Value(entries, "aliases")?.RequireList("aliases") ?? []).Select(alias => NotEmpty(alias, "an alias"))],
                Noun = Value(entries, "noun") is { } noun ? NotEmpty(noun, "noun") : null,
            },
            node.Place);
    }

    private static string[] Phrases(DocumentNode? node) => node is null
        ? []
        : [.. node.RequireList("subjects").Select(subject => NotEmpty(subject, "a subject"))];

    private static StoryFileScene Scene(DocumentNode node, string folder, Dictionary<string, RgbImage> masks)
    {
        if (node.IsNull)
        {
            throw node.Error("a scene needs a prompt, but this one is null.");
        }

        if (node is ScalarNode)
        {
            return new StoryFileScene(NotEmpty(node, "a scene")) { Place = node.Place };
        }

        var entries = node.RequireMap("a scene", SceneKeys);
        return new StoryFileScene(NotEmpty(Value(entries, "prompt") ?? throw node.Error("a scene needs a 'prompt'."), "prompt"))
        {
            Place = node.Place,
            Seed = Whole(entries, "seed", NumberRange.Any),
            States = Value(entries, "states")?.RequireMap("states")
                .ToDictionary(state => state.Key, state => NotEmpty(state.Value, "a state")) ?? [],
            Subjects = Value(entries, "subjects") is { } subjects
                ? [.. subjects.RequireList("subjects").Select(subject => subject.IsNull ? null : NotEmpty(subject, "a subject"))]
                : null,
            Masks = Value(entries, "masks") is { } own
                ? [.. own.RequireList("masks").Select(mask => mask.IsNull ? null : Mask(mask, "mask", folder, masks))]
                : null,
            Regions = [.. (Value(entries, "regions")?.RequireMap("regions") ?? ReadOnlyDictionary<string, DocumentNode>.Empty)
                .Where(region => !region.Value.IsNull).Select(region => Region(region.Key, region.Value, folder, masks))],
            Location = Value(entries, "location") is { } location ? NotEmpty(location, "location") : null,
        };
    }

    private static StoryFileRegion Region(string of, DocumentNode node, string folder, Dictionary<string, RgbImage> masks)
    {
        if (node is ScalarNode)
        {
            return new StoryFileRegion(of, node.Place) { Mask = Mask(node, "region", folder, masks) };
        }

        IReadOnlyList<DocumentNode> sides;
        if (node is MapNode)
        {
            var entries = node.RequireMap("a region", BoxKeys);
            sides = [.. BoxKeys.Select(key => Value(entries, key) ?? throw node.Error($"a region needs '{key}'."))];
        }
        else
        {
            sides = node.RequireList("a region");
            if (sides.Count != BoxKeys.Length)
            {
                throw node.Error($"a region has {English.Count(sides.Count, "number")}; it needs 4: left, top, width and height.");
            }
        }

        double[] box = [.. BoxKeys.Zip(sides, (key, side) => side.Check(() => NumberRange.Fraction.Parse(key, side.RequireText(key))))];
        try
        {
            return new StoryFileRegion(of, node.Place) { Box = new RegionBox(box[0], box[1], box[2], box[3]) };
        }
        catch (ArgumentException exception)
        {
            throw node.Error(exception.Message);
        }
    }

    /// <summary>Reads a mask or region; one that several scenes name is read once.</summary>
    private static RgbImage Mask(DocumentNode node, string what, string folder, Dictionary<string, RgbImage> known)
    {
        var path = Path.Combine(folder, NotEmpty(node, $"a {what}"));
        if (!known.TryGetValue(path, out var mask))
        {
            try
            {
                mask = PictureFile.Read(path, file => RgbImage.Load(file), what: what);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                var fault = PictureFile.Fault(exception);
                throw node.Error(fault.Contains(path, StringComparison.Ordinal) ? fault : $"the {what} '{path}' cannot be read: {fault}");
            }

            known[path] = mask;
        }

        return mask;
    }

    private static DocumentNode? Value(IReadOnlyDictionary<string, DocumentNode> entries, string key) =>
        entries.TryGetValue(key, out var node) && !node.IsNull ? node : null;

    private static string? Text(IReadOnlyDictionary<string, DocumentNode> entries, string key) => Value(entries, key)?.RequireText(key);

    private static long? Whole(IReadOnlyDictionary<string, DocumentNode> entries, string key, NumberRange range) =>
        Value(entries, key) is { } node ? node.Check(() => range.ParseWhole(key, node.RequireText(key))) : null;

    [GeneratedRegex(@"^Scene (\d+)\b")]
    private static partial Regex OfScene();

    private static string NotEmpty(DocumentNode node, string what)
    {
        var text = node.RequireText(what);
        return string.IsNullOrWhiteSpace(text) ? throw node.Error($"{what} must not be empty.") : text;
    }
}

/// <summary>A character in a file.</summary>
/// <param name="Character">The character.</param>
/// <param name="Place">Where it stands, for messages.</param>
internal sealed record StoryFileCharacter(Character Character, string Place);

/// <summary>Where a subject is to be in a scene in a file: a box or a mask.</summary>
/// <param name="Of">The subject's phrase, or the name of a character of the cast.</param>
/// <param name="Place">Where it stands, for messages.</param>
internal sealed record StoryFileRegion(string Of, string Place)
{
    public RegionBox? Box { get; init; }

    public RgbImage? Mask { get; init; }
}

/// <summary>A scene in a file.</summary>
/// <param name="Prompt">What the scene shows.</param>
internal sealed record StoryFileScene(string Prompt)
{
    /// <summary>Where the scene stands, for messages.</summary>
    public string Place { get; init; } = "";

    /// <summary>For each subject of the story the phrase that stands for it here, null where the scene lacks it; null for the story's
    /// own.</summary>
    public IReadOnlyList<string?>? Subjects { get; init; }

    public long? Seed { get; init; }

    /// <summary>By the name of a character of the cast, how it is here.</summary>
    public IReadOnlyDictionary<string, string> States { get; init; } = new Dictionary<string, string>();

    /// <summary>For each subject of the story its mask, white where it is, null to find it; null to find all.</summary>
    public IReadOnlyList<RgbImage?>? Masks { get; init; }

    /// <summary>Where subjects are to be.</summary>
    public IReadOnlyList<StoryFileRegion> Regions { get; init; } = [];

    /// <summary>Where the scene is; null for nowhere that others are.</summary>
    public string? Location { get; init; }
}
