
namespace StorySync.Kernels.Tests;

public class MatrixKernelTests
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
        Check<NativeLanes>(rows, inner, add);
        Check<WideLanes>(rows, inner, add);
    }

    private static unsafe void Check<T>(int rows, int inner, bool add)
        where T : unmanaged, ILanes<T>
    {
        var columns = MatrixKernel<T>.Columns;
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
                MatrixKernel<T>.Multiply(pa, row, step, pb, bStep, pc, cRow, rows, inner, add);
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
