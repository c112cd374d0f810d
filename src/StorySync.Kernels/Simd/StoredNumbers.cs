using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Weights that kernels read in the type that they are stored in: float32, bfloat16, or float16 without infinite numbers.</summary>
internal static unsafe class StoredNumbers<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>Bytes of a number.</summary>
    public static int Size(ScalarType type) => type == ScalarType.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>Rows of <see cref="MatrixKernel{T}.Columns"/> numbers in float32: where they lie, or converted, which is exact.</summary>
    /// <param name="from">Where they lie.</param>
    /// <param name="type">Their type.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="converted">Room for them.</param>
    public static float* InFloat32(nint from, ScalarType type, int rows, float* converted)
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
        for (var row = 0; row < rows; row++, from += MatrixKernel<T>.Columns, to += MatrixKernel<T>.Columns)
        {
            var (left, right) = T.LoadFloat16(from);
            left.Store(to);
            right.Store(to + T.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void FromBFloat16(ushort* from, float* to, int rows)
    {
        for (var row = 0; row < rows; row++, from += MatrixKernel<T>.Columns, to += MatrixKernel<T>.Columns)
        {
            var (left, right) = T.LoadBFloat16(from);
            left.Store(to);
            right.Store(to + T.Count);
        }
    }
}
