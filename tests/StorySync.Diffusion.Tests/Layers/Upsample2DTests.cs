using StorySync.Diffusion.Layers;
using StorySync.TestSupport;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

[Collection(typeof(AloneCollection))]
public class Upsample2DTests
{
    [Theory]
    [InlineData(1, 3, 5, 4, null)]
    [InlineData(2, 16, 8, 8, null)]
    [InlineData(2, 20, 6, 7, new long[] { 12, 14 })]
    [InlineData(1, 4, 5, 5, new long[] { 9, 10 })]
    [InlineData(1, 4, 1, 1, null)]
    public void It_is_nearest_neighbours_and_a_convolution(int batch, int channels, int height, int width, long[]? size)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Upsample2D(channels));
        var input = Seeded.Normal(batch, channels, height, width);
        var expected = Expected(layer, input, size ?? [height * 2, width * 2]);
        AssertClose(expected, layer.call(input, size));
        AssertClose(expected, layer.call(input.ChannelsLast(), size));
    }

    [Fact]
    public void It_computes_in_double_precision_too()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Upsample2D(4));
        layer.to(ScalarType.Float64);
        var input = Seeded.Normal([1, 4, 3, 3], ScalarType.Float64);
        Assert.True(layer.call(input, null).allclose(Expected(layer, input, [6, 6]), rtol: 1e-12, atol: 1e-12));
    }

    [Fact]
    public void Weights_that_have_become_others_count()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Upsample2D(4));
        var input = Seeded.Normal(1, 4, 3, 3);
        layer.call(input, null);
        for (var round = 0; round < 5; round++)
        {
            RandomLayer.Bind(layer);
            AssertClose(Expected(layer, input, [6, 6]), layer.call(input, null));
        }
    }

    [Fact]
    public void It_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Upsample2D(4));
        layer.call(Seeded.Normal(1, 4, 3, 3), null);
        RandomLayer.Bind(layer);
        layer.call(Seeded.Normal(1, 4, 3, 3), null);
    });

    private static Tensor Expected(Upsample2D layer, Tensor input, long[] size)
    {
        var large = nn.functional.interpolate(input, size, mode: InterpolationMode.Nearest);
        return nn.functional.conv2d(large.to(float64), Weight("conv.weight").to(float64), Weight("conv.bias").to(float64), padding: [1, 1]);

        Parameter Weight(string name) => layer.get_parameter(name)!;
    }

    private static void AssertClose(Tensor expected, Tensor actual) =>
        Assert.InRange(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 0, 5e-6);
}
