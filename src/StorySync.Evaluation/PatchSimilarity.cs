using System.Numerics.Tensors;
using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Provides the similarity of the parts of a subject between images, independent of place and pose.</summary>
public static class PatchSimilarity
{
    /// <summary>Returns the mean cosine of each patch with the most similar one of the other image, both ways, −1 … 1, higher is more
    /// alike: <c>½ (mean_{p∈A} max_{q∈B} cos(p, q) + mean_{q∈B} max_{p∈A} cos(p, q))</c>.</summary>
    /// <remarks>Greedy matching as in BERTScore (arXiv 1904.09675, section 3; its precision and recall, averaged), of an image
    /// encoder's patches in place of words.</remarks>
    /// <param name="first">The patches of one subject, at least one.</param>
    /// <param name="second">Those of the other, at least one.</param>
    public static double Between(IReadOnlyList<float[]> first, IReadOnlyList<float[]> second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        var (best, bestOfSecond) = (new float[first.Count], new float[second.Count]);
        Array.Fill(best, -1);
        Array.Fill(bestOfSecond, -1);
        for (var i = 0; i < first.Count; i++)
        {
            for (var j = 0; j < second.Count; j++)
            {
                var cosine = TensorPrimitives.CosineSimilarity(first[i], second[j]);
                best[i] = Math.Max(best[i], cosine);
                bestOfSecond[j] = Math.Max(bestOfSecond[j], cosine);
            }
        }

        return (best.Average() + bestOfSecond.Average()) / 2;
    }

    /// <summary>Returns the mean of <see cref="Between"/> over all pairs of images.</summary>
    /// <param name="subjects">The patches of each image's subject, at least two images.</param>
    /// <exception cref="ArgumentException">There are fewer than two.</exception>
    public static double Mean(IReadOnlyList<IReadOnlyList<float[]>> subjects) => Pairs.Mean(subjects, Between);

    /// <summary>Returns the patches that a region holds: those of which it covers at least half, or the one that it covers most where there
    /// is no such patch.</summary>
    /// <param name="grid">An image's patches.</param>
    /// <param name="region">The region, not empty, on any grid.</param>
    /// <exception cref="ArgumentException">The region is empty.</exception>
    public static IReadOnlyList<float[]> Inside(PatchGrid grid, SubjectRegion region)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(region);
        var cover = region.Coverage(grid.Width, grid.Height);
        var least = Math.Min(0.5, cover.Max());
        return least > 0
            ? [.. grid.Patches.Where((_, i) => cover[i] >= least)]
            : throw new ArgumentException("The region is empty: it holds no patch.", nameof(region));
    }
}
