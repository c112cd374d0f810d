using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Weights that kernels read in the type that they are stored in: float32, bfloat16, or float16 without infinite numbers.</summary>
internal static unsafe class HalfLoad<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>Bytes of a number.</summary>
    public static int Size(ScalarType type) => type == ScalarType.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>Rows of <see cref="MicroKernel{V}.Columns"/> numbers in float32: where they lie, or converted, which is exact.</summary>
    /// <param name="from">Where they lie.</param>
    /// <param name="type">Their type.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="converted">Room for them.</param>
    public static float* ToFloat32(nint from, ScalarType type, int rows, float* converted)
    {
        switch (type)
        {
            case ScalarType.Float32:
                return (float*)from;
            case ScalarType.BFloat16:
                FromBFloat16((ushort*)from, converted, rows);
                return converted;
            default:
                FromFloat16((ushort*)from, converted, rows);
                return converted;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void FromFloat16(ushort* from, float* to, int rows)
    {
        for (var row = 0; row < rows; row++, from += MicroKernel<V>.Columns, to += MicroKernel<V>.Columns)
        {
            var (left, right) = V.LoadFloat16(from);
            left.Store(to);
            right.Store(to + V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void FromBFloat16(ushort* from, float* to, int rows)
    {
        for (var row = 0; row < rows; row++, from += MicroKernel<V>.Columns, to += MicroKernel<V>.Columns)
        {
            var (left, right) = V.LoadBFloat16(from);
            left.Store(to);
            right.Store(to + V.Count);
        }
    }
}
