using StorySync.Documents;

namespace StorySync.Samples.Evaluate;

/// <summary>Stories in the form of ConsiStory+ (arXiv 2501.13554): a style, a subject, and settings, of which each makes a scene:
/// "style subject setting". A file is a list of them, or lists by category. Entries that mean nothing here are skipped.</summary>
internal static class PromptSet
{
    private const string Form = "a list of stories, or lists by category, each with a subject, a style and a list of settings";

    public static IReadOnlyList<PromptStory> BuiltIn() =>
        Parse(DocumentReader.Yaml("the built-in prompts", Resource.Text("storybook.yaml")));

    /// <summary>Reads a prompt set from a YAML or JSON file.</summary>
    /// <exception cref="UserErrorException">The file is missing or no prompt set; the message names the place.</exception>
    public static IReadOnlyList<PromptStory> Load(string path) => Parse(DocumentReader.Read(path, "prompt set"));

    private static PromptStory[] Parse(DocumentNode root)
    {
        if (root is ScalarNode { Value: not null })
        {
            throw root.Error($"expected {Form}.");
        }

        (string Category, DocumentNode Stories)[] groups = root is MapNode
            ? [.. root.RequireMap("a prompt set").Select(group => (group.Key, group.Value))]
            : [("story", root)];
        var stories = new List<PromptStory>();
        foreach (var (category, list) in groups)
        {
            foreach (var (i, node) in (list.IsNull ? [] : (list as ListNode ?? throw list.Error($"expected {Form}.")).Values).Index())
            {
                var story = Story(node, $"{category}-{i + 1}");
                if (stories.Any(other => RunFolder.Safe(other.Name).Equals(RunFolder.Safe(story.Name), StringComparison.OrdinalIgnoreCase)))
                {
                    throw node.Error($"two stories are called '{story.Name}', or have names for one folder.");
                }

                stories.Add(story);
            }
        }

        return stories.Count > 0 ? [.. stories] : throw root.Error($"there are no stories; expected {Form}.");
    }

    private static PromptStory Story(DocumentNode node, string number)
    {
        var entries = node.IsNull ? new Dictionary<string, DocumentNode>() : node.RequireMap("a story");
        string Text(string key) => entries.TryGetValue(key, out var value) && !value.IsNull ? value.RequireText(key) : "";

        var story = new PromptStory
        {
            Name = Text("name") is { Length: > 0 } name ? name : number,
            Style = Text("style"),
            Subject = Text("subject"),
            ConceptToken = Text("concept_token"),
            Settings = [.. (entries.GetValueOrDefault("settings")?.RequireList("settings") ?? []).Select(setting =>
                setting.IsNull ? "" : setting.RequireText("a setting"))],
        };
        _ = node.Check(() => RunFolder.Checked("story", story.Name));
        return string.IsNullOrWhiteSpace(story.Subject) || story.Settings.Count == 0 || story.Settings.Any(string.IsNullOrWhiteSpace)
            ? throw node.Error($"the story '{story.Name}' needs a subject and at least one setting, none of them empty.")
            : story;
    }
}

/// <summary>A story in a prompt set.</summary>
internal sealed record PromptStory
{
    public string Name { get; init; } = "";

    public string Style { get; init; } = "";

    public string Subject { get; init; } = "";

    public IReadOnlyList<string> Settings { get; init; } = [];

    /// <summary>The word that names the subject: "fox" of "a fox with a green scarf".</summary>
    public string ConceptToken { get; init; } = "";

    /// <summary>The words whose attention finds the subject: the one that names it if the subject has that word, else all.</summary>
    public string Phrase => ConceptToken.Length > 0 && $" {Subject} ".Contains($" {ConceptToken} ", StringComparison.OrdinalIgnoreCase)
        ? ConceptToken
        : Subject;

    public IEnumerable<string> Prompts =>
        Settings.Select(setting => string.Join(' ',
            new[] { Style, Subject, setting }.Where(part => !string.IsNullOrWhiteSpace(part)).Select(part => part.Trim())));
}
