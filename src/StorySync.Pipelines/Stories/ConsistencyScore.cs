using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Compares, at the end of a run, what scenes have become with the anchors that they read.</summary>
/// <param name="inner">What looks at the latents of each step; null for nothing.</param>
/// <param name="score">Compares the final latents of all rows with the anchors'.</param>
internal sealed class ConsistencyScore(IStepEntry? inner, Func<Tensor, IReadOnlyList<double?>> score) : IStepEntry
{
    /// <summary>Gets how consistent each scene is with the anchors; null before the end.</summary>
    public IReadOnlyList<double?>? Scores { get; private set; }

    public Tensor Enter(int step, bool isBase, Tensor latents) => inner?.Enter(step, isBase, latents) ?? latents;

    public void Leave(Tensor latents) => Scores = score(latents);
}
