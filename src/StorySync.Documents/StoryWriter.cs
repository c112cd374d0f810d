using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace StorySync.Documents;

/// <summary>Writes stories as JSON and YAML, without what is left open.</summary>
internal static class StoryWriter
{
    /// <summary>Other readers than ours take these for something else than text.</summary>
    private static readonly string[] Words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

    public static string ToJson(StoryFile story) => Node(story).ToJsonString(StorySchema.Json) + "\n";

    public static string ToYaml(StoryFile story)
    {
        var text = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        var emitter = new Emitter(
            text, new EmitterSettings(bestIndent: 2, bestWidth: int.MaxValue, isCanonical: false, maxSimpleKeyLength: 1024));
        emitter.Emit(new StreamStart());
        emitter.Emit(new DocumentStart(null, null, isImplicit: true));
        Emit(emitter, Node(story));
        emitter.Emit(new DocumentEnd(isImplicit: true));
        emitter.Emit(new StreamEnd());
        return text.ToString();
    }

    private static JsonObject Node(StoryFile story)
    {
        var node = new JsonObject();
        Add(node, "title", story.Title);
        Add(node, "author", story.Author);
        Add(node, "language", story.Language);
        Add(node, "subjects", story.Subjects.Count > 0 ? List(story.Subjects, phrase => phrase) : null);
        Add(node, "cast", story.Cast.Count > 0 ? Map(story.Cast, one => one.Character.Name, Node) : null);
        Add(node, "negative", story.Negative);
        Add(node, "seed", story.Seed);
        Add(node, "steps", story.Steps);
        Add(node, "guidance", story.Guidance);
        Add(node, "width", story.Width);
        Add(node, "height", story.Height);
        Add(node, "scenes", List(story.Scenes, Node));
        return node;
    }

    private static JsonNode Node(StoryFileCharacter one)
    {
        var (character, node) = (one.Character, new JsonObject());
        Add(node, "description", character.Description);
        Add(node, "aliases", character.Aliases.Count > 0 ? List(character.Aliases, alias => alias) : null);
        Add(node, "noun", character.Noun);
        return ShortOr(node);
    }

    private static JsonNode Node(StoryFileScene scene)
    {
        var node = new JsonObject();
        Add(node, "prompt", scene.Prompt);
        Add(node, "subjects", scene.Subjects is { } subjects ? List(subjects, phrase => phrase) : null);
        Add(node, "states", scene.States.Count > 0 ? Map(scene.States, state => state.Key, state => state.Value) : null);
        Add(node, "seed", scene.Seed);
        Add(node, "masks", scene.Masks is { } masks ? List(masks, mask => mask?.File) : null);
        Add(node, "regions", scene.Regions.Count > 0 ? Map(scene.Regions, region => region.Of, Node) : null);
        Add(node, "location", scene.Location);
        Add(node, "caption", scene.Caption);
        Add(node, "dialogue", scene.Dialogue.Count > 0
            ? List(scene.Dialogue, line => new JsonObject { ["who"] = line.Who, ["says"] = line.Says }) : null);
        return ShortOr(node);
    }

    private static JsonNode? Node(StoryFileRegion region) => region.Box is { } box
        ? new JsonArray(box.Left, box.Top, box.Width, box.Height) : region.ImageFile?.File;

    /// <summary>A mapping with nothing but its first key is written as that one's value.</summary>
    private static JsonNode ShortOr(JsonObject node) => node.Count == 1 ? node[0]!.DeepClone() : node;

    private static void Add(JsonObject node, string key, JsonNode? value)
    {
        if (value is not null)
        {
            node[key] = value;
        }
    }

    private static JsonArray List<T>(IEnumerable<T> values, Func<T, JsonNode?> node) => [.. values.Select(node)];

    private static JsonObject Map<T>(IEnumerable<T> values, Func<T, string> key, Func<T, JsonNode?> node) =>
        new(values.Select(value => KeyValuePair.Create(key(value), node(value))));

    private static void Emit(Emitter emitter, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject map:
                emitter.Emit(new MappingStart());
                foreach (var (key, value) in map)
                {
                    emitter.Emit(Text(key));
                    Emit(emitter, value);
                }

                emitter.Emit(new MappingEnd());
                break;

            case JsonArray list:
                var style = list.All(value => value?.GetValueKind() == JsonValueKind.Number) ? SequenceStyle.Flow : SequenceStyle.Block;
                emitter.Emit(new SequenceStart(null, null, isImplicit: true, style));
                foreach (var value in list)
                {
                    Emit(emitter, value);
                }

                emitter.Emit(new SequenceEnd());
                break;

            case { } value when value.GetValueKind() == JsonValueKind.String:
                emitter.Emit(Text(value.GetValue<string>()));
                break;

            default:
                emitter.Emit(new Scalar(node?.ToJsonString() ?? "null"));
                break;
        }
    }

    private static Scalar Text(string text) => new(
        null, null, text, IsPlain(text) ? ScalarStyle.Any : ScalarStyle.DoubleQuoted, isPlainImplicit: true, isQuotedImplicit: true);

    /// <summary>Whether a text is read as itself without quotes, in whatever place and by whichever reader.</summary>
    private static bool IsPlain(string text) => text.Length > 0 && char.IsLetter(text[0]) && text[^1] != ' '
        && text.All(letter => char.IsLetterOrDigit(letter) || " .,!?'-_".Contains(letter, StringComparison.Ordinal))
        && !Words.Contains(text, StringComparer.OrdinalIgnoreCase);
}
