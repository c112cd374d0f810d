using System.Runtime.CompilerServices;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>The pages of mapped files. A weight that has been copied elsewhere (converted, packed, brought to a device) has no need of
/// its pages in memory any more, and a mapping does not give them back by itself for as long as one of its tensors lives.</summary>
internal static class MappedPages
{
    private static readonly ConditionalWeakTable<Tensor, object> Views = [];

    /// <summary>Notes that a tensor is a view of a mapped file, as another is: nothing but the file is behind it.</summary>
    /// <param name="view">The tensor.</param>
    /// <param name="like">The other; null if it is sure to be.</param>
    /// <returns><paramref name="view"/>.</returns>
    public static Tensor Mark(Tensor view, Tensor? like = null)
    {
        if (like is null || IsView(like))
        {
            Views.AddOrUpdate(view, Views);
        }

        return view;
    }

    /// <summary>Whether a tensor is a view of a mapped file.</summary>
    public static bool IsView(Tensor tensor) => Views.TryGetValue(tensor, out _);

    /// <summary>Notes that two tensors have traded their storages.</summary>
    public static void Swap(Tensor one, Tensor other)
    {
        var (first, second) = (Views.Remove(one), Views.Remove(other));
        if (first)
        {
            Mark(other);
        }

        if (second)
        {
            Mark(one);
        }
    }

    /// <summary>Lets the operating system have the pages of a tensor that is a view of a mapped file; does nothing to any other. The
    /// tensor stays good: who looks at it again reads it from the file.</summary>
    public static void Release(Tensor view)
    {
        if (IsView(view))
        {
            PageAdvice.Release(view);
        }
    }
}
