using System.Collections.ObjectModel;
using System.Text.Json.Serialization;
using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>Represents a story: scenes with common subjects.</summary>
public sealed record Story
{
    /// <summary>Gets the scenes, at least one.</summary>
    public required IReadOnlyList<Scene> Scenes { get; init; }

    /// <summary>Gets the subjects that stay the same, each with another phrase; at least one, unless there is a
    /// <see cref="Cast"/>.</summary>
    public IReadOnlyList<Subject> Subjects { get; init => field = value is { Count: 0 } ? [] : value; } = [];

    /// <summary>Gets the characters that prompts refer to by name. Each is a subject in the scenes that mention it, in addition to
    /// <see cref="Subjects"/>.</summary>
    public IReadOnlyList<Character> Cast { get; init => field = value is null or { Count: 0 } ? [] : value; } = [];

    /// <summary>Returns the story as the model gets it, without a cast: its characters written out in the prompts and among the
    /// subjects.</summary>
    /// <remarks>
    /// <para>A mention is a name or alias as a whole word ("Miami" and "Mia-like" do not mention Mia), in the case in which it is given,
    /// but for a capital at its beginning; of several names at one place the longest counts. The first mention in a scene becomes the
    /// description and, after it, the scene's state (<see cref="Scene.States"/>); each further one becomes "the" and the noun
    /// (<see cref="Character.Noun"/>), or "the" and the noun phrase where two characters have the same noun or the scene places the
    /// character: all its words are then its subject's. "Mia's", and "James'" before
    /// another word, stay possessives, with the apostrophe alone after words in s. Where a mention begins a sentence there is a capital,
    /// elsewhere a description's article has none. The full stop or comma of a description or state falls away. All other text stays as
    /// it is. The rules are those of English.</para>
    /// <para>A scene whose prompt does not mention a character lacks it, unless its <see cref="Scene.Subjects"/> say otherwise of
    /// <see cref="Character.Subject"/>.</para>
    /// </remarks>
    /// <exception cref="ArgumentException">A character has no description, or one with a name in it; two have one name; a scene mentions a
    /// character that it says is absent, or has a state for one that it does not mention; a character is in no scene.</exception>
    public Story ExpandCast() => StoryRules.ExpandCast(this, new StoryBatchOrigin());
}

/// <summary>Represents what stays the same in a story. A text converts to it: <c>Subjects = ["a red fox"]</c>.</summary>
/// <param name="Phrase">The words that stand for it in the prompts: "a red fox". An English article that leads the phrase does not count. A
/// scene can have other words for a subject, or lack it: <see cref="Scene.Subjects"/>.</param>
[JsonConverter(typeof(SubjectJsonConverter))]
public sealed record Subject(string Phrase)
{
    /// <summary>Returns the subject that a phrase stands for.</summary>
    /// <param name="phrase">The words.</param>
    public static implicit operator Subject(string phrase) => new(phrase);

    /// <summary>Returns the subject for a scene that describes it in other words.</summary>
    /// <param name="phrase">The words in that scene's prompt.</param>
    public SceneSubject As(string phrase) => new(this) { Phrase = phrase };

    /// <summary>Returns the subject as a scene has it where its place is known.</summary>
    /// <param name="mask">See <see cref="SceneSubject.Mask"/>.</param>
    public SceneSubject At(RgbImage mask) => new(this) { Mask = mask };

    /// <summary>Returns the subject as a scene has it that gives it a place.</summary>
    /// <param name="region">See <see cref="SceneSubject.Region"/>.</param>
    public SceneSubject In(RegionBox region) => new(this) { Region = region };

    /// <summary>Returns the subject as a scene has it that gives it a place of any shape.</summary>
    /// <param name="region">See <see cref="SceneSubject.RegionMask"/>.</param>
    public SceneSubject In(RgbImage region) => new(this) { RegionMask = region };

    /// <summary>Returns the subject as a scene has it that lacks it.</summary>
    public SceneSubject Absent() => new(this) { IsPresent = false };

    /// <inheritdoc/>
    public override string ToString() => Phrase;
}

/// <summary>Represents a scene of a story.</summary>
/// <param name="Prompt">What the scene shows.</param>
public sealed record Scene(string Prompt)
{
    /// <summary>Gets the story's subjects that the scene has in a way of its own: by other words, at a known or given place, or not at all.
    /// The others stand in the prompt by the story's phrase.</summary>
    public IReadOnlyList<SceneSubject> Subjects { get; init => field = value is { Count: 0 } ? [] : value; } = [];

    /// <summary>Gets, by the name of a character of the story's cast, how it is in this scene: "in a raincoat". It follows the description
    /// at the first mention.</summary>
    public IReadOnlyDictionary<string, string> States { get; init => field = value ?? field; } = ReadOnlyDictionary<string, string>.Empty;

    /// <summary>Gets where the scene is: scenes that name the same location share what belongs to no subject, as
    /// <see cref="StoryAttentionOptions.Location"/> says. Null (default): the scene shares its background with none.</summary>
    /// <remarks>Where scenes read anchors (<see cref="StoryOptions.Anchors"/>, <see cref="StoryBank"/>), a further scene shares its
    /// background with the anchors of its location and with no further scene, so that it still depends on the bank and itself
    /// alone.</remarks>
    public string? Location { get; init; }

    /// <summary>Gets the seed of the scene's noise; null to count on from the story's.</summary>
    public long? Seed { get; init; }

    /// <summary>Gets an existing image to use as the scene, for the others to read; null (default) to draw the scene. It must be among
    /// the anchors: <see cref="DiffusionPipeline.CreateBank"/>, <see cref="StoryOptions.Anchors"/>.</summary>
    /// <remarks>
    /// <para>The prompt says what the image shows. At each model call the anchor's latents are the encoded image with that call's
    /// noise, <see cref="Diffusion.Schedulers.SchedulePlan.AddNoise"/> of one noise, that of the seed. The image itself, at the story's
    /// size, is the scene's image and the anchor's portrait.</para>
    /// <para>It is resized to the story's size as <see cref="GenerationRequest.Images"/> are: to other proportions it is stretched, so
    /// crop it before. A <see cref="SceneSubject.Mask"/> has the image's proportions and is stretched with it;
    /// <see cref="RgbImage.LoadAlpha"/> reads that of an image that is cut out. A subject without a mask is found by one call of the model
    /// with the images alone, the first call with less noise than <see cref="MaskOptions.ImageNoise"/>, and is there in all steps.</para>
    /// </remarks>
    public RgbImage? Image { get; init; }
}

/// <summary>Represents how a scene has a subject.</summary>
/// <param name="Subject">The subject, one of the story's.</param>
public sealed record SceneSubject(Subject Subject)
{
    /// <summary>Gets the words that stand for the subject in the scene's prompt; null for the subject's own.</summary>
    public string? Phrase { get; init; }

    /// <summary>Gets where the subject is: white there, at any resolution but in the image's proportions; null to find it. With a mask the
    /// prompt needs no word for the subject.</summary>
    public RgbImage? Mask { get; init; }

    /// <summary>Gets the box where the subject is to be; null to leave that to the prompt. For the first steps
    /// (<see cref="PlacementOptions.Until"/>) the words of the subject are not read outside it. The prompt needs a word for the
    /// subject.</summary>
    [JsonConverter(typeof(CheckedJsonConverter<RegionBox>))]
    public RegionBox? Region { get; init; }

    /// <summary>Gets, in place of a <see cref="Region"/>, an image of where the subject is to be: white there, at any resolution but in
    /// the image's proportions; null for none.</summary>
    public RgbImage? RegionMask { get; init; }

    /// <summary>Gets a value indicating whether the scene has the subject. Default true.</summary>
    public bool IsPresent { get; init; } = true;
}
