using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Reads weights in the type in which they are stored: float32, bfloat16, or float16 without infinite values.</summary>
internal static unsafe class HalfLoad<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>Returns a value indicating whether weights of a type can be read.</summary>
    public static bool Supports(ScalarType type) => type is ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>Gets the bytes of an element.</summary>
    public static int Size(ScalarType type) => type == ScalarType.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>Gets rows of <see cref="MicroKernel{V}.Columns"/> elements in float32: where they are stored, or converted, which is
    /// exact.</summary>
    /// <param name="from">The address of the rows.</param>
    /// <param name="type">The type of the elements.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="converted">Memory for converted rows.</param>
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
