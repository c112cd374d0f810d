using System.Numerics;
using System.Runtime.Intrinsics;

namespace StorySync.Kernels;

/// <summary>Which <see cref="ILanes{T}"/> kernels compute with on this processor.</summary>
internal static class Lanes
{
    /// <summary>Whether kernels are worth while at all: without vector instructions libtorch is faster.</summary>
    public static bool AreAccelerated => Vector.IsHardwareAccelerated;

    /// <summary>Whether to compute with <see cref="WideLanes"/>, else with <see cref="NativeLanes"/>. .NET itself keeps
    /// <see cref="Vector{T}"/> narrower than the processor allows.</summary>
    public static bool AreWide => Vector512.IsHardwareAccelerated;

    /// <summary>How many numbers are computed on at once.</summary>
    public static int Count => AreWide ? WideLanes.Count : NativeLanes.Count;

    /// <summary><see cref="MatrixKernel{T}.Columns"/> with them.</summary>
    public static int Columns => AreWide ? MatrixKernel<WideLanes>.Columns : MatrixKernel<NativeLanes>.Columns;
}
