using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

[Collection(typeof(AloneCollection))]
public class WinogradConvolutionTests
{
    private static readonly long[] One = [1, 1];

    [Theory]
    [InlineData(1, 32, 32, 1, 1, true)]
    [InlineData(3, 48, 32, 5, 7, false)]
    [InlineData(2, 96, 64, 16, 15, true)]
    [InlineData(8, 64, 96, 2, 2, true)]
    [InlineData(1, 32, 32, 60, 61, true)]
    public void It_is_the_convolution_in_any_memory_order(int batch, int channels, int outChannels, int height, int width, bool bias)
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(channels, outChannels, bias);
        var input = Seeded.Normal(batch, channels, height, width);
        var expected = nn.functional.conv2d(input.to(float64), layer.weight.to(float64), layer.bias?.to(float64), One, One);

        Assert.True(WinogradConvolution.Supports(channels, outChannels, kernel: 3, stride: 1, padding: 1));
        foreach (var x in new[] { input, input.ChannelsLast(), cat([input, input], 1).ChannelsLast().narrow(1, 0, channels) })
        {
            Assert.InRange(((layer.call(x) - expected).abs().max() / expected.abs().max()).item<double>(), 0, 2e-6);
        }
    }

    [Fact]
    public void Neither_the_batch_nor_the_number_of_threads_changes_a_bit()
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(32, 32);
        var input = Seeded.Normal(5, 32, 11, 9).ChannelsLast();
        var together = layer.call(input);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            TensorAssert.SameBits(together, layer.call(input));
            TensorAssert.SameBits(together.narrow(0, 3, 1), layer.call(input.narrow(0, 3, 1)));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void Its_weights_stay_as_they_are_and_others_count()
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(32, 32);
        var (input, weight) = (Seeded.Normal(1, 32, 6, 6), layer.weight.clone());
        layer.call(input);
        layer.Storage.Materialize();
        TensorAssert.SameBits(layer.weight, weight);

        RandomLayer.Bind(layer);
        var expected = nn.functional.conv2d(input.to(float64), layer.weight.to(float64), layer.bias!.to(float64), One, One);
        Assert.InRange(((layer.call(input) - expected).abs().max() / expected.abs().max()).item<double>(), 0, 2e-6);
    }

    [Fact]
    public void First_runs_may_be_at_once()
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(64, 64);
        var input = Seeded.Normal(1, 64, 12, 12);
        var results = new Tensor[4];
        Parallel.For(0, results.Length, i =>
        {
            using var own = NewDisposeScope();
            results[i] = layer.call(input).DetachFromDisposeScope();
        });

        Assert.All(results, result => TensorAssert.SameBits(result, results[0]));
        Array.ForEach(results, result => result.Dispose());
    }

    [Fact]
    public void It_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(32, 32);
        layer.call(Seeded.Normal(1, 32, 6, 6));
        RandomLayer.Bind(layer);
        layer.call(Seeded.Normal(1, 32, 6, 6));
    });

    [Theory]
    [InlineData(16, 32, 3, 1, 1)]
    [InlineData(33, 32, 3, 1, 1)]
    [InlineData(32, 4, 3, 1, 1)]
    [InlineData(32, 32, 3, 2, 1)]
    [InlineData(32, 32, 3, 1, 0)]
    [InlineData(32, 32, 1, 1, 1)]
    [InlineData(1280, 1280, 3, 1, 1)]
    public void Other_convolutions_are_left_alone(int channels, int outChannels, int kernel, int stride, int padding) =>
        Assert.False(WinogradConvolution.Supports(channels, outChannels, kernel, stride, padding));

    [Fact]
    public void It_computes_in_double_precision_too()
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(32, 32);
        layer.to(ScalarType.Float64);
        var input = Seeded.Normal([1, 32, 3, 3], ScalarType.Float64);
        Assert.True(layer.call(input).allclose(nn.functional.conv2d(input, layer.weight, layer.bias, One, One), rtol: 1e-12, atol: 1e-12));
    }

    [Fact]
    public void An_input_of_a_wrong_shape_is_named()
    {
        using var scope = NewDisposeScope();
        using var layer = Layer(32, 64);
        var error = Assert.Throws<ArgumentException>(() => layer.call(zeros(1, 31, 6, 6)));
        Assert.Contains("(64, 32, 3, 3)", error.Message, StringComparison.Ordinal);
        Assert.Contains("(1, 31, 6, 6)", error.Message, StringComparison.Ordinal);
    }

    private static Conv2d Layer(long channels, long outChannels, bool bias = true) =>
        RandomLayer.Bind(new Conv2d(channels, outChannels, kernel: 3, padding: 1, bias: bias));
}
