using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A module whose pass frees every tensor that it makes but its result, which is the caller's.</summary>
/// <remarks>A pass never frees what it is given, except where <see cref="Kernels.Lifetimes.Freeing{T}"/> says so.</remarks>
/// <typeparam name="T">The type of the input.</typeparam>
/// <typeparam name="TResult">A tensor, or a tuple of tensors.</typeparam>
internal abstract class ScopedModule<T, TResult>(string name) : nn.Module<T, TResult>(name)
{
    public sealed override TResult forward(T input) => Scoped(() => Compute(input));

    protected abstract TResult Compute(T input);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, TResult>(string name) : nn.Module<T1, T2, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2) => Scoped(() => Compute(input1, input2));

    protected abstract TResult Compute(T1 input1, T2 input2);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, T3, TResult>(string name) : nn.Module<T1, T2, T3, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2, T3 input3) => Scoped(() => Compute(input1, input2, input3));

    protected abstract TResult Compute(T1 input1, T2 input2, T3 input3);
}

/// <inheritdoc cref="ScopedModule{T, TResult}"/>
internal abstract class ScopedModule<T1, T2, T3, T4, TResult>(string name) : nn.Module<T1, T2, T3, T4, TResult>(name)
{
    public sealed override TResult forward(T1 input1, T2 input2, T3 input3, T4 input4) =>
        Scoped(() => Compute(input1, input2, input3, input4));

    protected abstract TResult Compute(T1 input1, T2 input2, T3 input3, T4 input4);
}
