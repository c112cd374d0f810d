using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace StorySync.Samples.Evaluate;

/// <summary>Stories in the form of ConsiStory+ (arXiv 2501.13554): a style, a subject, and settings, of which each makes a scene:
/// "style subject setting". A file is a list of them, or lists by category. Entries that mean nothing here are skipped.</summary>
internal static class PromptSet
{
    private const string Form = "a list of stories, or lists by category, each with a subject, a style and a list of settings";

    public static IReadOnlyList<PromptStory> BuiltIn() => Parse(Resource.Text("storybook.yaml"), "the built-in prompts");

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is no prompt set.</exception>
    public static IReadOnlyList<PromptStory> Load(string path) =>
        File.Exists(path) ? Parse(File.ReadAllText(path), path) : throw new FileNotFoundException($"There is no prompt set '{path}'.", path);

    private static PromptStory[] Parse(string text, string path)
    {
        try
        {
            var reader = new DeserializerBuilder().WithNamingConvention(UnderscoredNamingConvention.Instance).IgnoreUnmatchedProperties().Build();
            var isList = IsList(text);
            (string Category, List<PromptStory?>? Stories)[] groups = isList
                ? [("story", reader.Deserialize<List<PromptStory?>>(text))]
                : [.. (reader.Deserialize<Dictionary<string, List<PromptStory?>?>?>(text) ?? []).Select(group => (group.Key, group.Value))];
            PromptStory[] stories =
            [
                .. groups.SelectMany(group => (group.Stories ?? []).Select((story, i) =>
                    story is { Name.Length: > 0 } ? story : (story ?? new()) with { Name = $"{group.Category}-{i + 1}" })),
            ];
            Check(stories, path);
            return stories;
        }
        catch (YamlException exception)
        {
            // An inner exception is about the types of this program.
            var fault = exception.InnerException is null ? exception.Message : $"this is not what belongs here; expected {Form}.";
            throw new InvalidDataException($"{path}, line {exception.Start.Line}: {fault}", exception);
        }
    }

    private static bool IsList(string text)
    {
        var parser = new Parser(new StringReader(text));
        parser.Consume<StreamStart>();
        return parser.Accept<DocumentStart>(out _) && parser.Consume<DocumentStart>() is not null && parser.Accept<SequenceStart>(out _);
    }

    private static void Check(PromptStory[] stories, string path)
    {
        if (stories.Length == 0)
        {
            throw new InvalidDataException($"{path} has no stories; expected {Form}.");
        }

        foreach (var story in stories)
        {
            if (string.IsNullOrWhiteSpace(story.Subject) || story.Settings is not { Count: > 0 } || story.Settings.Any(string.IsNullOrWhiteSpace))
            {
                throw new InvalidDataException($"{path}: story '{story.Name}' needs a subject and at least one setting, none of them empty.");
            }
        }

        if (stories.GroupBy(story => story.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new InvalidDataException($"{path}: two stories are called '{twice.Key}'.");
        }
    }
}

/// <summary>A story in a prompt set.</summary>
internal sealed record PromptStory
{
    public string Name { get; set; } = "";

    public string Style { get; set; } = "";

    public string Subject { get; set; } = "";

    public List<string> Settings { get; set; } = [];

    /// <summary>The word that names the subject: "fox" of "a fox with a green scarf".</summary>
    public string ConceptToken { get; set; } = "";

    /// <summary>The words whose attention finds the subject: the one that names it if the subject has that word, else all.</summary>
    public string Phrase => ConceptToken.Length > 0 && $" {Subject} ".Contains($" {ConceptToken} ", StringComparison.OrdinalIgnoreCase)
        ? ConceptToken
        : Subject;

    public IEnumerable<string> Prompts =>
        Settings.Select(setting => string.Join(' ', new[] { Style, Subject, setting }.Where(part => !string.IsNullOrWhiteSpace(part)).Select(part => part.Trim())));
}
