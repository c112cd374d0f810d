using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Provides the resizing of masks to another grid.</summary>
internal static class MaskResize
{
    /// <summary>Resizes masks: along an axis that grows, a cell takes the nearest source cell, ⌊i · source / target⌋; along one that
    /// shrinks, the source cells that it covers, each by the length of the overlap, so that any ratio will do. A cell is subject if at
    /// least half of what it takes is.</summary>
    /// <param name="mask">Masks, bool, (…, height, width).</param>
    /// <param name="height">The new height, at least 1.</param>
    /// <param name="width">The new width, at least 1.</param>
    /// <returns>The resized masks, bool, (…, <paramref name="height"/>, <paramref name="width"/>).</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is below 1.</exception>
    public static Tensor Apply(Tensor mask, long height, long width)
    {
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        using var scope = NewDisposeScope();
        if (mask.shape[^2] == height && mask.shape[^1] == width)
        {
            return mask.to_type(ScalarType.Bool).contiguous().clone().MoveToOuterDisposeScope();
        }

        var (rows, rowTotal) = Taken(mask.shape[^2], height, mask.device);
        var (columns, columnTotal) = Taken(mask.shape[^1], width, mask.device);
        var subject = Along(Along(mask.to_type(ScalarType.Float64), columns), rows);
        return subject.Times(2).GreaterOrEqual((double)rowTotal * columnTotal).contiguous().MoveToOuterDisposeScope();

        // The last axis is resized and changes places with the one before it.
        static Tensor Along(Tensor cells, Tensor weights) => nn.functional.linear(cells, weights).transpose(-2, -1);
    }

    /// <summary>How much of each source cell a target cell takes, (target, source), and the sum of each row. In whole numbers, so that
    /// exactly half is exactly half.</summary>
    private static (Tensor Weights, long Total) Taken(long source, long target, Device device)
    {
        var weights = new double[target, source];
        for (var cell = 0L; cell < target; cell++)
        {
            if (target >= source)
            {
                weights[cell, cell * source / target] = 1;
                continue;
            }

            for (var from = cell * source / target; from * target < (cell + 1) * source; from++)
            {
                weights[cell, from] = Math.Min((cell + 1) * source, (from + 1) * target) - Math.Max(cell * source, from * target);
            }
        }

        return (tensor(weights, device: device), target >= source ? 1 : source);
    }
}
