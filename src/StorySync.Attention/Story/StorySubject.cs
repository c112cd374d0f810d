using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents a subject of a story: where each scene's prompt mentions it, or where it is in the image.</summary>
/// <param name="Name">Its name, for messages.</param>
/// <param name="Tokens">For each scene the positions of the subject's phrase among the text tokens; empty where the scene lacks the
/// subject, or where its mask is given.</param>
public sealed record StorySubject(string Name, IReadOnlyList<IReadOnlyList<int>> Tokens)
{
    /// <summary>Gets, for each scene, the subject's mask, (height, width) at any resolution, nonzero where the subject is, or null to find
    /// it from the text; null to find all. Given masks hold from the first step on and are copied: the caller may dispose them.</summary>
    public IReadOnlyList<Tensor?>? Masks { get; init; }

    /// <summary>Gets, for each scene, the region where the subject is to be, (height, width) at any resolution, nonzero inside, or null to
    /// leave that to the prompt; null for all. A region is also the subject's mask until one is found. It is for scenes whose prompt speaks
    /// of the subject, and is copied; see <see cref="PlacementOptions"/>.</summary>
    public IReadOnlyList<Tensor?>? Regions { get; init; }

    /// <summary>Refuses positions that a model's text does not have.</summary>
    internal void CheckTokens(int textTokens)
    {
        foreach (var (scene, tokens) in Tokens.Index())
        {
            if (tokens.FirstOrDefault(token => token >= textTokens, -1) is >= 0 and var token)
            {
                throw new ArgumentException(
                    $"The subject '{Name}' has token {token} in scene {scene}, but the model was given {textTokens} text tokens. Put the " +
                    "subject nearer to the beginning of the prompt.");
            }
        }
    }

    /// <summary>Whether a scene has the subject.</summary>
    internal bool IsIn(int scene) => Tokens[scene].Count > 0 || Masks?[scene] is not null;
}
