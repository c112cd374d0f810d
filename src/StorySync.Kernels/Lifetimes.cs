using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>When tensors are freed, where that is not at the end of the scope in which they were made.</summary>
internal static class Lifetimes
{
    /// <summary>Frees tensors that were needed for a result and are not needed any more, before the scope ends: the feature maps between
    /// two layers are the largest tensors of an image.</summary>
    /// <returns><paramref name="result"/>.</returns>
    public static T Freeing<T>(this T result, params ReadOnlySpan<Tensor?> used)
    {
        foreach (var tensor in used)
        {
            tensor?.Dispose();
        }

        return result;
    }

    /// <summary>Computes a result, a tensor or a tuple of tensors, in a scope of its own: what is made on the way to it is freed, and the
    /// result is the caller's.</summary>
    public static TResult Scoped<TResult>(Func<TResult> compute)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(compute());
    }

    /// <summary>Moves a result, a tensor or a tuple of tensors, to the scope outside, if it was made in this one.</summary>
    private static TResult MoveOut<TResult>(this DisposeScope scope, TResult result)
    {
        if (result is Tensor tensor)
        {
            scope.MoveToOuter(tensor);
        }
        else if (result is ITuple tuple)
        {
            for (var i = 0; i < tuple.Length; i++)
            {
                scope.MoveToOuter((Tensor)tuple[i]!);
            }
        }

        return result;
    }
}
