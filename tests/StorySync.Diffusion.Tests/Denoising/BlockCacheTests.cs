using StorySync.Diffusion.Denoising;
using StorySync.Attention;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Denoising;

[Collection(typeof(AloneCollection))]
public class BlockCacheTests
{
    private static readonly DenoisingContext Run = new();
    private static readonly DenoisingContext Conditional = new() { Branch = GuidanceBranch.Conditional };
    private static readonly DenoisingContext Unconditional = new() { Branch = GuidanceBranch.Unconditional };

    [Fact]
    public void A_change_counts_from_what_was_computed_last()
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);

        // Steps of 7 %: after one that is left out, the next is 14 % away.
        Assert.Equal([true, false, true, false, true], Enumerable.Range(0, 5).Select(step => Computes(cache, Run, 1 + (0.07 * step))));
    }

    [Fact]
    public void What_was_kept_is_what_was_computed()
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);
        Computes(cache, Run, 1);

        Assert.Equal(-1, cache.Reuse(full([2, 3], 1.05), Run)!.max().item<float>());
    }

    [Fact]
    public void The_unconditional_branch_follows_the_conditional_one()
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);
        double[] positive = [1, 1.05, 1.5, 1.55], negative = [1, 2, 2, 9];

        Assert.Equal(
            [(true, true), (false, false), (true, true), (false, false)],
            positive.Zip(negative, (p, n) => (Computes(cache, Conditional, p), Computes(cache, Unconditional, n))));
    }

    [Fact]
    public void Nothing_outlives_the_rows_it_is_of()
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);
        Assert.True(Computes(cache, Conditional, 1));
        Assert.True(Computes(cache, Unconditional, 1));
        Assert.True(Computes(cache, Run, 1));
        Assert.True(Computes(cache, Conditional, 1));
        Assert.True(Computes(cache, Conditional, 1, rows: 4));
        Assert.True(Computes(cache, Conditional, 1));
        Assert.False(Computes(cache, Conditional, 1));
    }

    [Fact]
    public void A_change_that_is_no_number_is_computed()
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);

        Assert.Equal([true, true, true], ((double[])[0, 0, double.NaN]).Select(value => Computes(cache, Run, value)));
    }

    [Fact]
    public void It_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var cache = new BlockCache(0.1);
        Computes(cache, Conditional, 1);
        Computes(cache, Unconditional, 1);
        Computes(cache, Run, 1);
        Computes(cache, Run, 1);
        Computes(cache, Run, 3);
        cache.Reuse(full([2, 3], 5), Run);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void It_needs_a_threshold(double threshold) => Assert.Throws<ArgumentOutOfRangeException>(() => new BlockCache(threshold));

    private static bool Computes(BlockCache cache, DenoisingContext context, double first, int rows = 2)
    {
        if (cache.Reuse(full([rows, 3], first), context) is not null)
        {
            return false;
        }

        cache.Keep(full([rows, 3], -first), context);
        return true;
    }
}
