using System.Globalization;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

[Collection(typeof(AloneCollection))]
public class GroupNormKernelTests
{
    private const double Epsilon = 1e-5;

    [Theory]
    [InlineData(2, 32, 8, 4, 4)]
    [InlineData(1, 96, 32, 1, 1)]
    [InlineData(3, 64, 1, 5, 7)]
    [InlineData(1, 8, 8, 90, 100)]
    public void It_is_the_norm_in_float64(int batch, int channels, int groups, int height, int width)
    {
        using var scope = NewDisposeScope();
        var input = Random(batch, channels, height, width);
        var (weight, bias, shift) = (Seeded.Normal(channels), Seeded.Normal(channels), Seeded.Normal(batch, channels));
        foreach (var silu in new[] { false, true })
        {
            AssertClose(Exact(input, groups, weight, bias, null, silu), Apply(input, groups, weight, bias, null, silu));
            AssertClose(Exact(input, groups, weight, bias, shift, silu), Apply(input, groups, weight, bias, shift, silu));
            AssertClose(Exact(input, groups, null, null, null, silu), Apply(input, groups, null, null, null, silu));
        }
    }

    [Fact]
    public void A_mean_far_from_zero_costs_no_precision()
    {
        using var scope = NewDisposeScope();
        var input = Random(1, 16, 200, 200) + 1000;
        var error =
            (Apply(input, 4, null, null, null, silu: false) - Exact(input, 4, null, null, null, silu: false)).abs().max().item<double>();

        // Numbers near 1000 are 6·10⁻⁵ apart.
        Assert.InRange(error, 0, 1e-4);
    }

    [Fact]
    public void Neither_the_batch_nor_the_number_of_threads_changes_a_bit()
    {
        using var scope = NewDisposeScope();
        var input = Random(4, 16, 60, 70);
        var together = Apply(input, 4, null, null, null, silu: true);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            TensorAssert.SameBits(together, Apply(input, 4, null, null, null, silu: true));
            TensorAssert.SameBits(together.narrow(0, 2, 1), Apply(input.narrow(0, 2, 1), 4, null, null, null, silu: true));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(32)]
    [InlineData(1_000_000_000)]
    [InlineData(long.MaxValue)]
    public void Groups_that_do_not_divide_the_channels_are_refused(long groups)
    {
        using var scope = NewDisposeScope();
        var error = Assert.Throws<ArgumentException>(() => Apply(Random(1, 16, 2, 2), groups, null, null, null, silu: true));
        Assert.Contains(groups.ToString(CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
        Assert.Contains("(1, 16, 2, 2)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_of_other_sizes_are_refused()
    {
        using var scope = NewDisposeScope();
        var input = Random(2, 16, 2, 2);
        Assert.Throws<ArgumentException>(() => Apply(input, 4, ones(15), null, null, silu: false));
        Assert.Throws<ArgumentException>(() => Apply(input, 4, null, ones(3, 16), null, silu: false));
        Assert.Throws<ArgumentException>(() => Apply(input, 4, null, null, ones(2, 8), silu: false));
    }

    [Fact]
    public void No_tensor_is_left() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        Apply(Random(2, 16, 3, 3), 4, null, null, null, silu: true);
    });

    private static Tensor Random(long batch, long channels, long height, long width) =>
        ((Seeded.Normal(batch, channels, height, width) * 3) + Seeded.Normal(1, channels, 1, 1))
            .permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);

    private static Tensor Apply(Tensor input, long groups, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        Assert.True(GroupNormKernel.Supports(input));
        return GroupNormKernel.Apply(input, groups, Epsilon, weight, bias, shift, silu);
    }

    private static Tensor Exact(Tensor input, long groups, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        var x = input.to(float64).contiguous();
        x = shift is null ? x : x + shift.unsqueeze(-1).unsqueeze(-1);
        var norm = nn.functional.group_norm(x, groups, weight?.to(float64), bias?.to(float64), Epsilon);
        return silu ? nn.functional.silu(norm) : norm;
    }

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange(((expected - actual).abs().max() / expected.abs().max()).item<double>(), 0, 5e-6);
    }
}
