using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>A subject of a story: where each scene's prompt speaks of it, or where it is in the picture.</summary>
/// <param name="Name">Its name, for messages.</param>
/// <param name="Tokens">For each scene the positions of the subject's phrase among the text tokens; empty where the scene lacks the
/// subject, or where its mask is given.</param>
public sealed record StorySubject(string Name, IReadOnlyList<IReadOnlyList<int>> Tokens)
{
    /// <summary>For each scene the subject's mask, (height, width) at any resolution, nonzero where the subject is, or null to find it
    /// from the text; null to find all. Given masks hold from the first step on and are copied: the caller may dispose them.</summary>
    public IReadOnlyList<Tensor?>? Masks { get; init; }

    /// <summary>Whether a scene has the subject.</summary>
    internal bool IsIn(int scene) => Tokens[scene].Count > 0 || Masks?[scene] is not null;
}
