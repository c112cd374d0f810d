using System.Numerics;
using System.Runtime.Intrinsics;

namespace StorySync.Kernels;

/// <summary>Chooses the <see cref="IFloatVector{V}"/> that kernels compute with on this processor.</summary>
internal static class Simd
{
    /// <summary>Gets a value indicating whether kernels are worthwhile: without vector instructions libtorch is faster.</summary>
    public static bool IsSupported => Vector.IsHardwareAccelerated;

    /// <summary>Gets a value indicating whether to compute with <see cref="Vector512Float"/>, else with <see cref="VectorNative"/>. .NET
    /// itself keeps <see cref="Vector{T}"/> narrower than the processor allows.</summary>
    public static bool Use512 => Vector512.IsHardwareAccelerated;

    /// <summary>Gets the number of elements of the vector.</summary>
    public static int Count => Use512 ? Vector512Float.Count : VectorNative.Count;

    /// <summary>Gets <see cref="MicroKernel{V}.Columns"/> for it.</summary>
    public static int PanelColumns => Use512 ? MicroKernel<Vector512Float>.Columns : MicroKernel<VectorNative>.Columns;
}
