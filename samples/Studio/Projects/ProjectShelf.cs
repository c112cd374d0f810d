using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Options;
using StorySync.Cluster;
using StorySync.Extensions;

namespace StorySync.Samples.Studio.Projects;

/// <summary>The projects, each in a folder of its name.</summary>
public sealed partial class ProjectShelf(IOptions<StudioOptions> options, IStoryService stories, StorySyncModel model)
{
    private readonly ConcurrentDictionary<string, Lazy<Project>> open = new(StringComparer.OrdinalIgnoreCase);

    public string Root => Path.GetFullPath(options.Value.Folder);

    public IReadOnlyList<string> Names => !Directory.Exists(Root) ? [] :
    [
        .. Directory.EnumerateDirectories(Root).Where(ProjectFolder.IsProject).OrderByDescending(Directory.GetLastWriteTimeUtc)
            .Select(path => Path.GetFileName(path)),
    ];

    /// <summary>Opens a project; null where there is none of that name.</summary>
    public Project? Find(string name) => IsName(name) && ProjectFolder.IsProject(Path.Combine(Root, name)) ? Get(name) : null;

    /// <summary>Makes a project.</summary>
    /// <param name="title">What its name is made of.</param>
    /// <param name="story">What it begins with.</param>
    public Project Create(string title, StudioStory story)
    {
        var wanted = NoName().Replace(title, " ").Trim() is { Length: > 0 } text ? text[..Math.Min(text.Length, 50)].Trim() : "Story";
        var name = wanted;
        for (var i = 2; Directory.Exists(Path.Combine(Root, name)); i++)
        {
            name = $"{wanted} {i}";
        }

        var project = Get(name);
        project.Edit(_ => story with { Head = story.Head with { Title = story.Head.Title ?? title.Trim() } });
        return project;
    }

    private static bool IsName(string name) => !NoName().IsMatch(name) && name.Trim().Length > 0;

    private Project Get(string name) => open.GetOrAdd(name, _ => new(() =>
        new Project(name, new ProjectFolder(Path.Combine(Root, name)), stories, model))).Value;

    [GeneratedRegex(@"[^\p{L}\p{N} _-]+")]
    private static partial Regex NoName();
}
