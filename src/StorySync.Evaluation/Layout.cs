using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Provides measures of where subjects are in images.</summary>
public static class Layout
{
    /// <summary>Returns the intersection over union of two regions, 0 … 1: <c>|A ∩ B| / |A ∪ B|</c> (the Jaccard index); 1 for two empty
    /// ones.</summary>
    /// <param name="first">A region.</param>
    /// <param name="second">Another, on the same grid.</param>
    /// <exception cref="ArgumentException">The grids differ.</exception>
    public static double Iou(SubjectRegion first, SubjectRegion second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Width != second.Width || first.Height != second.Height)
        {
            throw new ArgumentException(
                $"One region is on a grid of {first.Width}×{first.Height}, the other of {second.Width}×{second.Height}; they must be on "
                    + $"the same.");
        }

        var (both, either) = (0, 0);
        for (var i = 0; i < first.Cells.Length; i++)
        {
            both += first.Cells[i] && second.Cells[i] ? 1 : 0;
            either += first.Cells[i] || second.Cells[i] ? 1 : 0;
        }

        return either == 0 ? 1 : (double)both / either;
    }

    /// <summary>Returns how much the subject's place, size and outline change from image to image, 0 … 1, higher is more diverse: the mean
    /// of <c>1 − IoU</c> over all pairs. Consistent subjects in one and the same pose are no story.</summary>
    /// <param name="regions">The subject's region in each image, at least two, on one grid.</param>
    /// <exception cref="ArgumentException">There are fewer than two, or the grids differ.</exception>
    public static double Diversity(IReadOnlyList<SubjectRegion> regions) => Pairs.Mean(regions, (a, b) => 1 - Iou(a, b));

    /// <summary>Returns how far images keep the layout of other ones, 0 … 1: the mean IoU of the two runs' regions, scene by scene. Against
    /// the plain model's run on the same noise it tells how much of the model's own composition a technique leaves.</summary>
    /// <param name="regions">The subject's region in each scene, at least one.</param>
    /// <param name="others">The same scenes' regions in the other run.</param>
    /// <exception cref="ArgumentException">There are none, not equally many, or the grids differ.</exception>
    public static double Kept(IReadOnlyList<SubjectRegion> regions, IReadOnlyList<SubjectRegion> others)
    {
        ArgumentNullException.ThrowIfNull(regions);
        ArgumentNullException.ThrowIfNull(others);
        return regions.Count == others.Count && regions.Count > 0
            ? regions.Zip(others, Iou).Average()
            : throw new ArgumentException(
                $"There are {regions.Count} regions and {others.Count} to compare with; they must be equally many, at least one.");
    }
}
