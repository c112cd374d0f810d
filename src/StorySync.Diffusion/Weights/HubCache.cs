using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Weights;

/// <summary>The cache folder that Hugging Face's libraries download to, in its published layout
/// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). It is written by StorySync.Hub alone.</summary>
internal sealed partial class HubCache(string root)
{
    /// <summary>Gets the cache of this user: <c>HF_HUB_CACHE</c>, else <c>HF_HOME/hub</c>, else <c>huggingface/hub</c> in the user's
    /// cache folder.</summary>
    public static HubCache Default => new(RootOf(Environment.GetEnvironmentVariable));

    public static string RootOf(Func<string, string?> environment)
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        var caches = Variable("XDG_CACHE_HOME") ?? Path.Combine(home, ".cache");
        return Variable("HF_HUB_CACHE") ?? Path.Combine(Variable("HF_HOME") ?? Path.Combine(caches, "huggingface"), "hub");

        string? Variable(string name) => environment(name) switch
        {
            null or "" => null,
            "~" => home,
            ['~', '/' or '\\', .. var rest] => Path.Combine(home, rest),
            var value => value,
        };
    }

    /// <summary>Gets the cache's folder.</summary>
    public string Root => root;

    /// <summary>Divides a model's name; null if it is none.</summary>
    /// <param name="name">As in <see cref="Resolve"/>.</param>
    public static (string Model, string Revision)? Parse(string name) => HubName().Match(name) is { Success: true } match
        ? (match.Groups["model"].Value, match.Groups["revision"] is { Success: true } given ? given.Value : "main")
        : null;

    /// <summary>Returns the folder of all revisions of a model.</summary>
    public string FolderOf(string model) => Path.Combine(root, "models--" + model.Replace("/", "--", StringComparison.Ordinal));

    /// <summary>Returns the folder of a model's snapshot.</summary>
    /// <param name="name"><c>organisation/name</c>, with <c>@revision</c> (a branch, tag or commit) if it is not to be <c>main</c>.</param>
    /// <exception cref="ModelFileException">The model or the revision is not in the cache.</exception>
    public string Resolve(string name)
    {
        if (Parse(name) is not (var id, var revision))
        {
            throw new ModelFileException(name,
                "there is no such folder, and it is no 'organisation/name[@revision]' of the Hugging Face cache");
        }

        var model = FolderOf(id);
        if (!Directory.Exists(model))
        {
            throw new ModelFileException(name, $"there is no such folder, and no such model in the Hugging Face cache ({root}); "
                + $"download it first (`storysync pull {name}`, or `hf download {id}`), "
                + "or set HF_HUB_CACHE or HF_HOME if your cache is elsewhere");
        }

        var snapshot = Path.Combine(model, "snapshots", Commit(model, revision));
        return Directory.Exists(snapshot) ? snapshot : throw new ModelFileException(name,
            $"the Hugging Face cache has this model, but not its revision '{revision}' (no {snapshot}); it has {Revisions(model)}");
    }

    /// <summary>The commit that a branch or tag stood for when it was downloaded; what is neither is taken for a commit itself.</summary>
    private static string Commit(string model, string revision)
    {
        var reference = Path.Combine([model, "refs", .. revision.Split('/')]);
        var commit = File.Exists(reference) ? File.ReadAllText(reference).Trim() : revision;
        return CommitName().IsMatch(commit) ? commit : throw new ModelFileException(model,
            $"the Hugging Face cache has no revision '{revision}' of this model; it has {Revisions(model)}");
    }

    private static string Revisions(string model)
    {
        var refs = Path.Combine(model, "refs");
        return string.Join(", ", (Directory.Exists(refs) ? Directory.EnumerateFiles(refs, "*", SearchOption.AllDirectories) : [])
            .Select(file => Path.GetRelativePath(refs, file).Replace('\\', '/')).Order().DefaultIfEmpty("none"));
    }

    [GeneratedRegex(@"^(?<model>[\w-][\w.-]*(/[\w-][\w.-]*)?)(@(?<revision>[\w-][\w.-]*(/[\w-][\w.-]*)*))?\z")]
    private static partial Regex HubName();

    [GeneratedRegex("^[0-9a-f]{4,64}\\z")]
    private static partial Regex CommitName();
}
