using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A story in pictures. Dispose it to free the latents.</summary>
/// <param name="Scenes">The scenes, in order.</param>
/// <param name="Latents">The latents that the pictures were decoded from, one row a scene.</param>
/// <param name="Timings">How long the parts took.</param>
public sealed record StoryResult(IReadOnlyList<SceneResult> Scenes, Tensor Latents, GenerationTimings Timings) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Latents.Dispose();
}

/// <summary>A scene in a picture.</summary>
/// <param name="Scene">The scene.</param>
/// <param name="Image">Its picture.</param>
/// <param name="Seed">The seed that its noise came from.</param>
/// <param name="Masks">For each subject of the story where it is in the picture; null where the scene lacks it.</param>
public sealed record SceneResult(Scene Scene, RgbImage Image, long Seed, IReadOnlyList<SubjectRegion?> Masks);
