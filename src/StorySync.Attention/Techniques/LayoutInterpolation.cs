using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Provides base layout interpolation: the queries of an unmodified run are mixed into a modified one, so that each image keeps
/// the layout that its own prompt would give it (Gaur, Zolfaghari, Brox, arXiv 2508.03735).</summary>
public static class LayoutInterpolation
{
    /// <summary>Returns the base queries' share β at a step: it falls linearly from <paramref name="start"/> at step 0 to <paramref
    /// name="end"/> at step <c>until · steps</c>, and is 0 from there on.</summary>
    /// <param name="step">The step, 0 … <paramref name="steps"/> − 1.</param>
    /// <param name="steps">The number of steps of the run.</param>
    /// <param name="start">β at the first step, 0 … 1.</param>
    /// <param name="end">β where the window ends, 0 … 1.</param>
    /// <param name="until">The window's share of the steps, 0 … 1.</param>
    public static double Weight(int step, int steps, double start = 0.9, double end = 0, double until = 0.3)
    {
        var last = until * steps;
        return step < last ? start + ((end - start) * step / last) : 0;
    }

    /// <summary>Mixes queries: <c>(1 − weight) · query + weight · baseQuery</c>.</summary>
    /// <param name="query">Queries of the modified branch, any shape.</param>
    /// <param name="baseQuery">Queries of the unmodified branch, the same shape.</param>
    /// <param name="weight">The share of the base queries, 0 … 1.</param>
    public static Tensor Apply(Tensor query, Tensor baseQuery, double weight)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(baseQuery);
        using var scope = NewDisposeScope();
        var mixed = query.clone();
        Mix(mixed, baseQuery, weight);
        return mixed.MoveToOuterDisposeScope();
    }

    /// <summary>Mixes in place.</summary>
    internal static void Mix(Tensor query, Tensor baseQuery, double weight) => query.Times_(1 - weight).Plus_(baseQuery, weight);
}
