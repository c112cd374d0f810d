
namespace StorySync.Kernels.Tests;

public class MicroKernelTests
{
    [Theory]
    [InlineData(1, 7, false)]
    [InlineData(2, 1, true)]
    [InlineData(3, 16, false)]
    [InlineData(4, 5, true)]
    [InlineData(5, 33, false)]
    [InlineData(6, 64, true)]
    public void Rows_and_columns_are_multiplied_and_nothing_else_is_written(int rows, int inner, bool add)
    {
        Check<VectorNative>(rows, inner, add);
        Check<Vector512Float>(rows, inner, add);
    }

    private static unsafe void Check<V>(int rows, int inner, bool add)
        where V : unmanaged, IFloatVector<V>
    {
        var columns = MicroKernel<V>.Columns;
        var (bStep, cRow) = (columns + 3, columns + 5);
        var random = new Random(rows);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        var (a, b, c) = (Values(rows * inner), Values(inner * bStep), Values((rows + 1) * cRow));
        foreach (var transposed in new[] { false, true })
        {
            var result = c.ToArray();
            var (row, step) = transposed ? (1, rows) : (inner, 1);
            fixed (float* pa = a, pb = b, pc = result)
            {
                MicroKernel<V>.Multiply(pa, row, step, pb, bStep, pc, cRow, rows, inner, add);
            }

            for (var at = 0; at < c.Length; at++)
            {
                var (i, j) = (at / cRow, at % cRow);
                var expected = i >= rows || j >= columns ? c[at]
                    : (add ? c[at] : 0) + Enumerable.Range(0, inner).Sum(k => (double)a[(i * row) + (k * step)] * b[(k * bStep) + j]);
                Assert.Equal(expected, result[at], 1e-5);
            }
        }
    }
}
