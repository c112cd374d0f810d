using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace StorySync.Documents;

/// <summary>The format of stories: the keys that are read, and the JSON Schema of them.</summary>
internal static class StorySchema
{
    /// <summary>How JSON is written: every language's letters as they are.</summary>
    public static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static readonly KeyTable Story = new("scenes")
    {
        { "$schema", "The address of this schema, for editors.", Nullable("string") },
        { "title", "Title of a book of the story.", Nullable("string") },
        { "author", "Who made the story, for a book of it.", Nullable("string") },
        { "language", "Language of captions and dialogue as a BCP 47 tag, for a book of the story. Default \"en\".", Nullable("string") },
        {
            "subjects", "The phrases that stand for the subjects in the prompts, such as \"a red fox\"; a single one can be given without "
                + "a list. Required unless there is a cast or --subject is given.",
            OneOf(Phrase, ListOf(Phrase))
        },
        {
            "cast", "Characters by name: prompts can say \"Mia\", and the model gets the description at the first mention in a scene and "
                + "\"the\" and the noun at further ones. A scene that does not mention a character lacks it.",
            MapOf(OneOf(Phrase, Ref("character")))
        },
        {
            "scenes", "The scenes in order: each a prompt, or a mapping with more to say.",
            With(ListOf(OneOf(Phrase, Ref("scene"))), "minItems", 1)
        },
        { "negative", "Negative prompt for all scenes.", Nullable("string") },
        { "seed", "Seed of the first scene; each further one has the next. Default 7.", Ref("seed") },
        {
            "steps", "Denoising steps. Default: the model's, 20 for the embedded one.",
            Within(NumberRange.Steps)
        },
        { "guidance", "Classifier-free guidance scale. Default: the model's, 4 for the embedded one.", Nullable("number") },
        { "width", "Width in pixels. Default: the model's.", Ref("side") },
        { "height", "Height in pixels. Default: the model's.", Ref("side") },
    };

    public static readonly KeyTable Character = new("description")
    {
        { "description", "What the model draws, with its article: \"a small red fox with a blue scarf\".", Phrase },
        {
            "aliases", "Other names that prompts have for the character; a single one can be given without a list.",
            OneOf(Phrase, ListOf(Phrase), Null)
        },
        {
            "noun", "What the character is called once it has been described: \"fox\". Default: the last word before with, in, wearing and "
                + "the like.",
            PhraseOrNull
        },
    };

    public static readonly KeyTable Scene = new("prompt")
    {
        { "prompt", "What the scene shows.", Phrase },
        {
            "subjects", "For each subject of the story, in its order, the phrase that stands for it in this prompt; null where the scene "
                + "lacks it. Default: the story's phrases.",
            OrNull(ListOf(OneOf(Phrase, Null)))
        },
        {
            "states", "By the name of a character of the cast, how it is in this scene: \"in a raincoat\". It follows the description.",
            MapOf(Phrase)
        },
        { "seed", "Seed of this scene. Default: counted on from the story's.", Ref("seed") },
        {
            "masks", "For each subject of the story, in its order, an image file that is white where the subject is, at any resolution in "
                + "the proportions of the scene, relative to the story file; null to find the subject. Default: all are found.",
            OrNull(ListOf(OneOf(Phrase, Null)))
        },
        {
            "regions", "By the phrase of a subject, or the name of a character of the cast, where it is to be: a box, or an image file "
                + "that is white there, in the proportions of the scene, relative to the story file. Default: the prompt decides.",
            MapOf(OneOf(Ref("box"), Phrase, Null))
        },
        {
            "location", "Where the scene is: scenes that name the same location share their background. Default: it shares none.",
            PhraseOrNull
        },
        { "caption", "The text below the image in a book. Default: none.", Nullable("string") },
        {
            "dialogue", "What is said in the scene, in order, for a book's speech bubbles.",
            OrNull(ListOf(Ref("line")))
        },
    };

    public static readonly KeyTable Line = new("who", "says")
    {
        {
            "who", "Who speaks: the phrase of a subject, or the name of a character of the cast; any other name is of somebody whom the "
                + "image does not show.",
            Phrase
        },
        { "says", "What is said.", Phrase },
    };

    public static readonly KeyTable Box = new("left", "top", "width", "height")
    {
        { "left", "Where the box begins: 0 is the image's left edge.", Ref("fraction") },
        { "top", "Where the box begins: 0 is the image's upper edge.", Ref("fraction") },
        { "width", "The box's share of the image's width.", Ref("fraction") },
        { "height", "The box's share of the image's height.", Ref("fraction") },
    };

    private static JsonObject Phrase => new() { ["type"] = "string", ["minLength"] = 1 };

    private static JsonObject PhraseOrNull => With(Nullable("string"), "minLength", 1);

    private static JsonObject Null => new() { ["type"] = "null" };

    /// <summary>The schema as JSON text.</summary>
    public static string ToJson()
    {
        var schema = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "StorySync story",
            ["description"] = "A story for StorySync, in YAML or in JSON (comments and trailing commas are allowed). Options of the "
                + "command line override what the file says.",
        };
        Story.AddTo(schema);
        schema["$defs"] = new JsonObject
        {
            ["seed"] = new JsonObject
            {
                ["type"] = new JsonArray("integer", "null"), ["minimum"] = long.MinValue, ["maximum"] = long.MaxValue,
            },
            ["side"] = Within(NumberRange.Side),
            ["character"] = Character.ToSchema(),
            ["scene"] = Scene.ToSchema(),
            ["line"] = Line.ToSchema(),
            ["box"] = new JsonObject
            {
                ["description"] = "A box in fractions of the image: [left, top, width, height], or a mapping with these keys.",
                ["oneOf"] = new JsonArray(
                    With(With(ListOf(Ref("fraction")), "minItems", Box.Names.Count), "maxItems", Box.Names.Count), Box.ToSchema()),
            },
            ["fraction"] = new JsonObject
            {
                ["type"] = "number", ["minimum"] = NumberRange.Fraction.Least, ["maximum"] = NumberRange.Fraction.Most,
            },
        };
        return schema.ToJsonString(Json) + "\n";
    }

    private static JsonObject Ref(string definition) => new() { ["$ref"] = $"#/$defs/{definition}" };

    private static JsonObject ListOf(JsonObject items) => new() { ["type"] = "array", ["items"] = items };

    private static JsonObject MapOf(JsonObject values) => new()
    {
        ["type"] = new JsonArray("object", "null"), ["additionalProperties"] = values,
    };

    private static JsonObject OneOf(params JsonObject[] schemas) => new() { ["oneOf"] = new JsonArray([.. schemas]) };

    private static JsonObject Nullable(string type) => new() { ["type"] = new JsonArray(type, "null") };

    private static JsonObject OrNull(JsonObject schema) =>
        With(schema, "type", new JsonArray(schema["type"]!.GetValue<string>(), "null"));

    private static JsonObject Within(NumberRange range) =>
        With(With(Nullable("integer"), "minimum", (long)range.Least), "maximum", (long)range.Most);

    private static JsonObject With(JsonObject schema, string key, JsonNode value)
    {
        schema[key] = value;
        return schema;
    }
}
