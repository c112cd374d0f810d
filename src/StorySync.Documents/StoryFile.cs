using System.Collections.ObjectModel;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Pipelines;

namespace StorySync.Documents;

/// <summary>Represents a story as people write it, in YAML or JSON. <see cref="JsonSchema"/> describes the format.</summary>
/// <remarks>
/// <code language="csharp">
/// var file = StoryFile.Load("bear.yaml");
/// using var result = pipeline.GenerateStory(file.ToStory(), file.ToOptions());
/// </code>
/// </remarks>
public sealed partial record StoryFile
{
    /// <summary>Gets the title of a book of the story; null for none.</summary>
    public string? Title { get; init; }

    /// <summary>Gets who made the story, for a book of it; null for nobody.</summary>
    public string? Author { get; init; }

    /// <summary>Gets the language of captions and dialogue as a BCP 47 tag, such as "en" or "ar", for a book of the story; null for
    /// English.</summary>
    public string? Language { get; init; }

    /// <summary>Gets the phrases that stand for the subjects in the prompts, such as "a red fox"; at least one, unless there is a
    /// <see cref="Cast"/>.</summary>
    public IReadOnlyList<string> Subjects { get; init; } = [];

    /// <summary>Gets the characters that prompts refer to by name.</summary>
    public IReadOnlyList<StoryFileCharacter> Cast { get; init; } = [];

    /// <summary>Gets the scenes, in order.</summary>
    public IReadOnlyList<StoryFileScene> Scenes { get; init; } = [];

    /// <summary>Gets the negative prompt of all scenes; null for none.</summary>
    public string? Negative { get; init; }

    /// <summary>Gets the seed of the first scene, from which the others count on; null to leave it to the program.</summary>
    public long? Seed { get; init; }

    /// <summary>Gets the number of denoising steps, from 1 to <see cref="GenerationRequest.MaxSteps"/>; null for the model's.</summary>
    public int? Steps { get; init; }

    /// <summary>Gets the scale of classifier-free guidance; null for the model's.</summary>
    public double? Guidance { get; init; }

    /// <summary>Gets the width of the images in pixels, from 8 to <see cref="GenerationRequest.MaxSide"/>; null for the
    /// model's.</summary>
    public int? Width { get; init; }

    /// <summary>Gets the height of the images in pixels, from 8 to <see cref="GenerationRequest.MaxSide"/>; null for the
    /// model's.</summary>
    public int? Height { get; init; }

    /// <summary>Gets the JSON Schema of the format, by which editors complete and check story files. It is the file
    /// <c>story.schema.json</c> of the package.</summary>
    public static string JsonSchema => StorySchema.ToJson();

    /// <summary>Reads a story, and the masks that it names relative to its folder.</summary>
    /// <param name="path">The file: JSON, with comments and trailing commas, if its name ends in <c>.json</c>, else YAML; UTF-8, at most
    /// 4 MiB.</param>
    /// <exception cref="DocumentException">The file is missing or no story; the message names line and key.</exception>
    public static StoryFile Load(string path) => StoryReader.Read(DocumentReader.Read(path, "story"), Path.GetDirectoryName(path)!);

    /// <summary>Reads a story from text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="format">Its format.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="folder">The folder that masks are read from. Null (default): the text may name no files, as is right for the text of
    /// somebody else, on a server for example.</param>
    /// <exception cref="DocumentException">The text is no story; the message names line and key.</exception>
    public static StoryFile Parse(
        string text, StoryFileFormat format = StoryFileFormat.Yaml, string name = "the story", string? folder = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return StoryReader.Read(
            format == StoryFileFormat.Json ? DocumentReader.Json(name, text) : DocumentReader.Yaml(name, text), folder);
    }

    /// <summary>Returns the story as JSON text, which <see cref="Parse"/> reads to the same story.</summary>
    public string ToJson() => StoryWriter.ToJson(this);

    /// <summary>Returns the story as YAML text, which <see cref="Parse"/> reads to the same story.</summary>
    public string ToYaml() => StoryWriter.ToYaml(this);

    /// <summary>Returns the options to draw the story with.</summary>
    /// <param name="defaults">What the story does not say; null for the model's.</param>
    public StoryOptions ToOptions(StoryOptions? defaults = null)
    {
        var request = defaults?.Request ?? new GenerationRequest();
        return (defaults ?? new StoryOptions()) with
        {
            Request = request with
            {
                NegativePrompts = Negative is null ? request.NegativePrompts : [Negative],
                Seed = Seed ?? request.Seed,
                Steps = Steps ?? request.Steps,
                GuidanceScale = Guidance ?? request.GuidanceScale,
                Width = Width ?? request.Width,
                Height = Height ?? request.Height,
            },
        };
    }

    /// <summary>Returns the same scenes with the subjects and cast of a bank.</summary>
    /// <param name="bank">The bank.</param>
    /// <exception cref="DocumentException">The story has others.</exception>
    public StoryFile On(StoryBank bank)
    {
        ArgumentNullException.ThrowIfNull(bank);
        var anchors = bank.Card.Story;
        string[] phrases = [.. anchors.Subjects.Select(subject => subject.Phrase)];
        if ((Subjects.Count > 0 && !Subjects.SequenceEqual(phrases))
            || (Cast.Count > 0 && JsonSerializer.Serialize(Cast.Select(one => one.Character)) != JsonSerializer.Serialize(anchors.Cast)))
        {
            throw new DocumentException(
                $"The story has other {(Subjects.Count > 0 ? "subjects" : "characters in its 'cast'")} than the bank, whose are "
                    + $"{string.Join(", ", [.. phrases, .. anchors.Cast.Select(one => one.Name)])}; leave them out, or give the same.");
        }

        return this with { Subjects = phrases, Cast = [.. anchors.Cast.Select(one => new StoryFileCharacter(one))] };
    }

    /// <summary>Returns the story for a pipeline.</summary>
    /// <param name="anchors">Scenes before those of the file, which characters may be in too.</param>
    /// <exception cref="DocumentException">There is no subject, a scene's list of subjects or masks does not match those of the story, or
    /// the cast cannot be written out in the prompts.</exception>
    public Story ToStory(IReadOnlyList<Scene>? anchors = null)
    {
        if (Subjects.Count == 0 && Cast.Count == 0)
        {
            throw new DocumentException(
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
            throw PlaceOf(exception.Message, anchors?.Count ?? 0) is { } place
                ? new DocumentException(place, exception.Message, exception)
                : new DocumentException(exception.Message, exception);
        }
    }

    /// <summary>Where a fault of the cast stands.</summary>
    private DocumentPlace? PlaceOf(string fault, int anchors) => OfScene().Match(fault) is { Success: true } scene
        ? Scenes.ElementAtOrDefault(int.Parse(scene.Groups[1].ValueSpan, CultureInfo.InvariantCulture) - 1 - anchors)?.Place
        : Cast.FirstOrDefault(one => fault.StartsWith($"The character \"{one.Character.Name}\"", StringComparison.Ordinal))?.Place;

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
                Mask = scene.Masks?[s]?.Image,
                IsPresent = scene.Subjects is null || scene.Subjects[s] is not null || scene.Masks?[s] is not null,
            }));
        }

        foreach (var region in scene.Regions)
        {
            var subject = Array.Find(subjects, subject => subject.Phrase == region.Of)
                ?? Cast.FirstOrDefault(one => one.Character.Name == region.Of)?.Character.Subject()
                ?? throw Fault(
                    region.Place,
                    $"'{region.Of}' is neither a subject nor a name of the cast; known are "
                        + $"{string.Join(", ", subjects.Select(s => s.Phrase).Concat(Cast.Select(one => one.Character.Name)))}.");
            var had = own.Find(one => one.Subject == subject) ?? new SceneSubject(subject);
            if (!had.IsPresent)
            {
                throw Fault(
                    region.Place, $"'{region.Of}' has a region, but its entry in 'subjects' is null: the scene lacks it.");
            }

            own.Remove(had);
            own.Add(had with { Region = region.Box, RegionMask = region.ImageFile?.Image });
        }

        return new Scene(scene.Prompt) { Seed = scene.Seed, States = scene.States, Location = scene.Location, Subjects = own };
    }

    private void CheckCount(StoryFileScene scene, string key, int? count)
    {
        if (count is { } given && given != Subjects.Count)
        {
            throw Fault(
                scene.Place,
                $"'{key}' has {English.Count(given, "entry")}, but the story has "
                    + $"{English.Count(Subjects.Count, "subject")}; each needs one, null for none.");
        }
    }

    private static DocumentException Fault(DocumentPlace? place, string fault) =>
        place is { } known ? new(known, fault) : new(fault);

    [GeneratedRegex(@"^Scene (\d+)\b")]
    private static partial Regex OfScene();
}
