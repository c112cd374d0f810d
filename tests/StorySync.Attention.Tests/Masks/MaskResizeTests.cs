using CsCheck;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Masks;

public class MaskResizeTests
{
    private static readonly Gen<(bool[,] Mask, int Height, int Width)> Masks =
        Gen.Select(Gen.Bool.Array2D[Gen.Int[1, 9], Gen.Int[1, 9]], Gen.Int[1, 12], Gen.Int[1, 12]);

    [Fact]
    public void A_cell_is_subject_if_half_of_what_it_takes_is() => Masks.Sample(
        sample =>
        {
            using var scope = NewDisposeScope();
            var resized = MaskResize.Apply(tensor(sample.Mask), sample.Height, sample.Width);
            Assert.Equal([sample.Height, sample.Width], resized.shape);
            Assert.Equal(Naive(sample.Mask, sample.Height, sample.Width), resized.data<bool>().ToArray());
        },
        iter: 200,
        threads: 1);

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Sizes_are_at_least_1(int height, int width)
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentOutOfRangeException>(() => MaskResize.Apply(ones([2, 2], ScalarType.Bool), height, width));
    }

    [Fact]
    public void A_mask_of_the_right_size_is_copied()
    {
        using var scope = NewDisposeScope();
        var mask = tensor(new[] { true, false }).view(1, 2);
        var copy = MaskResize.Apply(mask, 1, 2);
        TensorAssert.SameBits(mask, copy);
        copy.fill_(true);
        Assert.Equal([true, false], mask.data<bool>().ToArray());
    }

    [Fact]
    public void One_axis_can_grow_while_the_other_shrinks()
    {
        using var scope = NewDisposeScope();
        var resized = MaskResize.Apply(tensor(new[] { true, false, false, true }).view(1, 4), 2, 2);
        Assert.Equal([true, true, true, true], resized.data<bool>().ToArray());
        resized = MaskResize.Apply(tensor(new[] { true, false, false, false }).view(4, 1), 2, 3);
        Assert.Equal([true, true, true, false, false, false], resized.data<bool>().ToArray());
    }

    [Fact]
    public void Growing_takes_the_nearest_cell()
    {
        using var scope = NewDisposeScope();
        var resized = MaskResize.Apply(tensor(new[] { true, false }).view(1, 2), 1, 5);
        Assert.Equal([true, true, true, false, false], resized.data<bool>().ToArray());
    }

    [Fact]
    public void Exactly_half_is_enough()
    {
        using var scope = NewDisposeScope();
        var resized = MaskResize.Apply(tensor(new[] { true, false, false, false, true, true }).view(1, 6), 1, 2);
        Assert.Equal([false, true], resized.data<bool>().ToArray());
        Assert.True(MaskResize.Apply(tensor(new[] { true, false, true, false }).view(2, 2), 1, 1).item<bool>());
    }

    [Fact]
    public void Masks_are_resized_together_as_one_by_one()
    {
        using var scope = NewDisposeScope();
        var masks = Seeded.Uniform(3, 10, 7) > 0.5;
        TensorAssert.SameBits(MaskResize.Apply(masks, 4, 9)[2], MaskResize.Apply(masks[2], 4, 9));
    }

    /// <summary>Counts small squares, so many to a cell that every cell of both grids is whole.</summary>
    private static bool[] Naive(bool[,] mask, int height, int width)
    {
        var (sourceHeight, sourceWidth) = (mask.GetLength(0), mask.GetLength(1));
        var result = new List<bool>();
        for (var row = 0; row < height; row++)
        {
            for (var column = 0; column < width; column++)
            {
                var taken =
                    from y in Taken(row, sourceHeight, height)
                    from x in Taken(column, sourceWidth, width)
                    select mask[y, x];
                result.Add(2 * taken.Count(subject => subject) >= taken.Count());
            }
        }

        return [.. result];

        static IEnumerable<int> Taken(int cell, int source, int target) => target >= source
            ? [cell * source / target]
            : Enumerable.Range(cell * source, source).Select(square => square / target);
    }
}
