using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>Computes the product of MR rows and NR columns, of which larger products are made.</summary>
/// <typeparam name="V">The vector type.</typeparam>
internal static unsafe class MicroKernel<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>MR: the rows that are computed simultaneously. Their sums, with the columns, fill the vector registers.</summary>
    public const int Rows = 6;

    /// <summary>Gets NR: the columns that are computed simultaneously.</summary>
    public static int Columns => 2 * V.Count;

    /// <summary>Computes <c>C = A B</c>, or <c>C += A B</c>, for up to <see cref="Rows"/> rows and exactly <see cref="Columns"/>
    /// columns.</summary>
    /// <param name="a">(rows, inner).</param>
    /// <param name="aRow">From one row of A to the next, in elements.</param>
    /// <param name="aStep">From one column of A to the next.</param>
    /// <param name="b">(inner, columns), the columns contiguous.</param>
    /// <param name="bStep">From one row of B to the next.</param>
    /// <param name="c">(rows, columns), the columns contiguous.</param>
    /// <param name="cRow">From one row of C to the next.</param>
    /// <param name="rows">1 … <see cref="Rows"/>.</param>
    /// <param name="inner">Products in each sum.</param>
    /// <param name="add">Whether C's values are added to.</param>
    /// <remarks>Not inlined: among a caller's variables the sums would not stay in registers.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(float* a, nint aRow, nint aStep, float* b, nint bStep, float* c, nint cRow, int rows, int inner, bool add)
    {
        // Where there are fewer rows, the last one is computed again in their place.
        var last = rows - 1;
        var a0 = a;
        var a1 = a + (Math.Min(1, last) * aRow);
        var a2 = a + (Math.Min(2, last) * aRow);
        var a3 = a + (Math.Min(3, last) * aRow);
        var a4 = a + (Math.Min(4, last) * aRow);
        var a5 = a + (Math.Min(5, last) * aRow);
        V c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        V c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
        nint at = 0;
        for (var step = 0; step < inner; step++)
        {
            var b0 = V.Load(b);
            var b1 = V.Load(b + V.Count);
            var row = V.Broadcast(a0 + at);
            c00 = V.FusedMultiplyAdd(row, b0, c00);
            c01 = V.FusedMultiplyAdd(row, b1, c01);
            row = V.Broadcast(a1 + at);
            c10 = V.FusedMultiplyAdd(row, b0, c10);
            c11 = V.FusedMultiplyAdd(row, b1, c11);
            row = V.Broadcast(a2 + at);
            c20 = V.FusedMultiplyAdd(row, b0, c20);
            c21 = V.FusedMultiplyAdd(row, b1, c21);
            row = V.Broadcast(a3 + at);
            c30 = V.FusedMultiplyAdd(row, b0, c30);
            c31 = V.FusedMultiplyAdd(row, b1, c31);
            row = V.Broadcast(a4 + at);
            c40 = V.FusedMultiplyAdd(row, b0, c40);
            c41 = V.FusedMultiplyAdd(row, b1, c41);
            row = V.Broadcast(a5 + at);
            c50 = V.FusedMultiplyAdd(row, b0, c50);
            c51 = V.FusedMultiplyAdd(row, b1, c51);
            at += aStep;
            b += bStep;
        }

        Store(c, c00, c01, add);
        if (rows > 1)
        {
            Store(c + cRow, c10, c11, add);
        }

        if (rows > 2)
        {
            Store(c + (2 * cRow), c20, c21, add);
        }

        if (rows > 3)
        {
            Store(c + (3 * cRow), c30, c31, add);
        }

        if (rows > 4)
        {
            Store(c + (4 * cRow), c40, c41, add);
        }

        if (rows > 5)
        {
            Store(c + (5 * cRow), c50, c51, add);
        }
    }

    private static void Store(float* row, V left, V right, bool add)
    {
        if (add)
        {
            left += V.Load(row);
            right += V.Load(row + V.Count);
        }

        left.Store(row);
        right.Store(row + V.Count);
    }
}
