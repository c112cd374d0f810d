using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Classifier-free guidance (Ho and Salimans, arXiv 2207.12598).</summary>
internal static class ClassifierFreeGuidance
{
    /// <summary><c>negative + scale · (positive − negative)</c>, its contrast brought back by <paramref name="rescale"/>.</summary>
    /// <param name="prediction">The negative half above the positive one.</param>
    /// <param name="scale">The guidance scale.</param>
    /// <param name="rescale">0 … 1 (Lin et al., arXiv 2305.08891, section 3.4).</param>
    public static Tensor Apply(Tensor prediction, double scale, double rescale = 0)
    {
        using var scope = NewDisposeScope();
        var halves = prediction.chunk(2, dim: 0);
        var guided = halves[0].Plus((halves[1] - halves[0]).Times(scale));
        if (rescale > 0)
        {
            var rescaled = guided * (Deviation(halves[1]) / Deviation(guided));
            guided = rescaled.Times(rescale).Plus(guided.Times(1 - rescale));
        }

        return guided.MoveToOuterDisposeScope();
    }

    private static Tensor Deviation(Tensor x) =>
        x.std([.. Enumerable.Range(1, (int)x.dim() - 1).Select(d => (long)d)], unbiased: true, keepdim: true);
}
