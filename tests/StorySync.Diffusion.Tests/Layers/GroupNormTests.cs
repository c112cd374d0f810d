using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

public class GroupNormTests
{
    private const double Epsilon = 1e-5;

    [Fact]
    public void Scale_and_shift_may_differ_from_image_to_image()
    {
        using var scope = NewDisposeScope();
        var input = Random(3, 16, 6, 5);
        var parts = Seeded.Normal(3, 32).chunk(2, dim: 1);
        var norm = Exact(input, 4, null, null, null, silu: false);
        var expected = (norm * parts[0].unsqueeze(-1).unsqueeze(-1)) + parts[1].unsqueeze(-1).unsqueeze(-1);
        using var layer = new GroupNorm(4, 16, Epsilon, affine: false);

        AssertClose(expected, Fused.GroupNormModulate(layer, input, parts[0], parts[1]));
        AssertClose(expected, Fused.GroupNormModulate(layer, input.contiguous(), parts[0], parts[1]));
        AssertClose(nn.functional.silu(expected), Fused.GroupNormModulate(layer, input, parts[0], parts[1], silu: true));
        AssertClose(nn.functional.silu(expected), Fused.GroupNormModulate(layer, input.contiguous(), parts[0], parts[1], silu: true));
    }

    [Fact]
    public void Layers_compute_the_same_in_any_memory_order()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new GroupNorm(4, 16, Epsilon));
        var (input, shift) = (Random(2, 16, 6, 5), Seeded.Normal(2, 16));
        var summed = input + shift.unsqueeze(-1).unsqueeze(-1);

        Assert.False(GroupNormKernel.Supports(input.contiguous()));
        AssertClose(layer.call(input.contiguous()).to(float64), layer.call(input));
        AssertClose(nn.functional.silu(layer.call(summed)).to(float64), Fused.GroupNormSilu(layer, input, shift));
        AssertClose(Fused.GroupNormSilu(layer, input, shift).to(float64), Fused.GroupNormSilu(layer, input.contiguous(), shift));
        AssertClose(Fused.GroupNormSilu(layer, input).to(float64), Fused.GroupNormSilu(layer, input.contiguous()));
    }

    [Theory]
    [InlineData(0, 24)]
    [InlineData(-8, 24)]
    [InlineData(16, 24)]
    [InlineData(32, 24)]
    [InlineData(1_000_000_000, 24)]
    public void Groups_that_do_not_divide_the_channels_are_refused(long groups, long channels)
    {
        var error = Assert.Throws<ArgumentException>(() => new GroupNorm(groups, channels, Epsilon));
        Assert.StartsWith($"'norm_num_groups' is {groups};", error.Message, StringComparison.Ordinal);
        Assert.Contains($"of {channels} ", error.Message, StringComparison.Ordinal);
    }

    private static Tensor Random(long batch, long channels, long height, long width) =>
        ((Seeded.Normal(batch, channels, height, width) * 3) + Seeded.Normal(1, channels, 1, 1)).ChannelsLast();

    private static Tensor Exact(Tensor input, long groups, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        var x = input.to(float64).contiguous();
        x = shift is null ? x : x + shift.unsqueeze(-1).unsqueeze(-1);
        var norm = nn.functional.group_norm(x, groups, weight?.to(float64), bias?.to(float64), Epsilon);
        return silu ? nn.functional.silu(norm) : norm;
    }

    private static void AssertClose(Tensor expected, Tensor actual) => TensorAssert.Close(expected, actual.to(float64), relative: 5e-6);
}
