using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A module whose pass frees every tensor that it makes but its result, which is the caller's.</summary>
/// <remarks>A pass never frees what it is given, except where <see cref="Lifetimes.Freeing{T}"/> says so.</remarks>
/// <typeparam name="T">The type of the input.</typeparam>
/// <typeparam name="TResult">A tensor, or a tuple of tensors.</typeparam>
internal abstract class ScopedModule<T, TResult>(string name) : nn.Module<T, TResult>(name)
{
    public sealed override TResult forward(T input)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(Compute(input));
    }

    protected abstract TResult Compute(T input);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, TResult>(string name) : nn.Module<T1, T2, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(Compute(input1, input2));
    }

    protected abstract TResult Compute(T1 input1, T2 input2);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, T3, TResult>(string name) : nn.Module<T1, T2, T3, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2, T3 input3)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(Compute(input1, input2, input3));
    }

    protected abstract TResult Compute(T1 input1, T2 input2, T3 input3);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, T3, T4, TResult>(string name) : nn.Module<T1, T2, T3, T4, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2, T3 input3, T4 input4)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(Compute(input1, input2, input3, input4));
    }

    protected abstract TResult Compute(T1 input1, T2 input2, T3 input3, T4 input4);
}

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

    /// <summary>Computes a result of its own scope: what is made on the way to it is freed.</summary>
    public static TResult Scoped<TResult>(Func<TResult> compute)
    {
        using var scope = NewDisposeScope();
        return scope.MoveOut(compute());
    }

    /// <summary>Moves a result, a tensor or a tuple of tensors, to the scope outside, if it was made in this one.</summary>
    public static TResult MoveOut<TResult>(this DisposeScope scope, TResult result)
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
