using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

[Collection(typeof(AloneCollection))]
public class LinearKernelTests
{
    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(1, 7, 5, 3)]
    [InlineData(2, 33, 96, 768)]
    [InlineData(8, 256, 130, 17)]
    [InlineData(1, 100, 600, 70)]
    [InlineData(3, 97, 256, 96)]
    [InlineData(2, 0, 5, 3)]
    public void It_is_the_product_in_float64(int batch, int tokens, int width, int outWidth)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(width, outWidth));
        using var bare = RandomLayer.Bind(new Linear(width, outWidth, bias: false));
        var input = Seeded.Normal(batch, width, tokens).transpose(1, 2);
        foreach (var one in new[] { layer, bare })
        {
            // Before the first call, which puts the weights in another order.
            var expected = Exact(one, input);
            AssertClose(expected, one.call(input));
            AssertClose(expected, one.call(input.contiguous()));
            AssertClose(nn.functional.gelu(expected, TorchSharp.Modules.GELU.Approximate.tanh), Fused.LinearGeluTanh(one, input));
        }
    }

    [Theory]
    [InlineData(1, 7, 5, 3)]
    [InlineData(2, 33, 96, 384)]
    [InlineData(1, 10, 300, 50)]
    public void It_gates_one_half_with_the_other(int batch, int tokens, int width, int outWidth)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Geglu(width, outWidth));
        var input = Seeded.Normal(batch, tokens, width);
        for (var round = 0; round < 2; round++)
        {
            var (weight, bias) = (layer.get_parameter("proj.weight")!, layer.get_parameter("proj.bias")!);
            var halves = nn.functional.linear(input.to(float64), weight.to(float64), bias.to(float64)).chunk(2, dim: -1);
            AssertClose(halves[0] * nn.functional.gelu(halves[1]), layer.call(input));
            Assert.Equal([2 * outWidth, width], weight.shape);
            RandomLayer.Bind(layer);
        }
    }

    [Fact]
    public void A_convolution_over_single_places_is_one()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Conv2d(20, 36, kernel: 1));
        var input = Seeded.Normal(2, 20, 6, 7);
        var expected = nn.functional.conv2d(input.to(float64), layer.weight.to(float64), layer.bias!.to(float64));
        AssertClose(expected, layer.call(input));
        AssertClose(expected, layer.call(input.ChannelsLast()));
        AssertClose(expected, layer.call(cat([input, input], 1).ChannelsLast().narrow(1, 0, 20)));
        Assert.Equal(1, layer.call(input).stride(1));
    }

    [Fact]
    public void Neither_the_batch_nor_the_number_of_threads_changes_a_bit()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(300, 100));
        var input = Seeded.Normal(5, 150, 300);
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
    public void Weights_come_back_as_they_were()
    {
        using var scope = NewDisposeScope();
        using var linear = RandomLayer.Bind(new Linear(50, 70));
        using var gated = RandomLayer.Bind(new Geglu(12, 7));
        using var single = RandomLayer.Bind(new Conv2d(20, 30, kernel: 1));
        using var convolution = RandomLayer.Bind(new Conv2d(20, 30, kernel: 3, padding: 1));
        foreach (var (layer, run) in new (nn.Module, Action)[]
        {
            (linear, () => linear.call(Seeded.Normal(4, 50))),
            (gated, () => gated.call(Seeded.Normal(4, 12))),
            (single, () => single.call(Seeded.Normal(1, 20, 8, 8))),
            (convolution, () => convolution.call(Seeded.Normal(1, 20, 8, 8))),
        })
        {
            var weight = ModuleTensors.ParametersOf(layer).Single(tensor => tensor.Storage is not null);
            var parameter = weight.Tensor;
            var before = parameter.clone();
            run();
            Assert.Equal(DeviceType.META, parameter.device_type);
            weight.Materialize();
            TensorAssert.SameBits(parameter, before);
            run();
        }
    }

    [Fact]
    public void It_frees_what_it_has_made() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Geglu(6, 8));
        layer.call(Seeded.Normal(2, 6));
        RandomLayer.Bind(layer);
        layer.call(Seeded.Normal(2, 6));
        ModuleTensors.ParametersOf(layer).ToList().ForEach(tensor => tensor.Materialize());
        layer.call(Seeded.Normal(2, 6));
        using var linear = RandomLayer.Bind(new Linear(6, 8));
        linear.call(Seeded.Normal(2, 6));
    });

    [Fact]
    public void It_computes_in_double_precision_too()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(6, 8));
        layer.to(ScalarType.Float64);
        var input = Seeded.Normal([4, 6], ScalarType.Float64);
        Assert.True(layer.call(input).allclose(Exact(layer, input), rtol: 1e-12, atol: 1e-12));
        Assert.True(Fused.LinearGeglu(layer, input).allclose(
            Exact(layer, input).narrow(1, 0, 4) * nn.functional.gelu(Exact(layer, input).narrow(1, 4, 4)), rtol: 1e-12, atol: 1e-12));
    }

    [Fact]
    public void Input_of_a_wrong_shape_is_named()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(50, 70));
        var exception = Assert.Throws<ArgumentException>(() => layer.call(Seeded.Normal(4, 51)));
        Assert.Contains("(70, 50)", exception.Message, StringComparison.Ordinal);
        Assert.Contains("(4, 51)", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ScalarType.Float16, 1)]
    [InlineData(ScalarType.BFloat16, 1)]
    [InlineData(ScalarType.Float16, float.PositiveInfinity)]
    public void Half_weights_give_what_they_give_in_float32(ScalarType stored, float extreme)
    {
        using var scope = NewDisposeScope();
        var weight = Seeded.Normal(70, 300).to(stored);
        weight[3, 7] = extreme;
        var input = Seeded.Normal(9, 300);
        foreach (var gated in new[] { false, true })
        {
            using var whole = Load(weight, ScalarType.Float32);
            using var half = Load(weight, stored);
            var (expected, actual) = gated ? (Fused.LinearGeglu(whole, input), Fused.LinearGeglu(half, input))
                : (whole.call(input), half.call(input));
            TensorAssert.SameBits(expected.nan_to_num(7), actual.nan_to_num(7));
            Assert.Equal(ScalarType.Float32, half.weight.dtype);
            Assert.Equal(DeviceType.META, half.weight.device_type);
            half.to(ScalarType.Float64);
            TensorAssert.SameBits(half.weight, weight.to(ScalarType.Float64));
        }
    }

    /// <summary>A layer whose weights come from a file.</summary>
    private static Linear Load(Tensor weight, ScalarType stored)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "weights.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["weight"] = weight.to(stored) });
        var layer = new Linear(weight.shape[1], weight.shape[0], bias: false);
        using var file = SafetensorsFile.Open(path);
        WeightBinder.Bind(layer, file, ScalarType.Float32);
        return layer;
    }

    private static Tensor Exact(Linear layer, Tensor input) =>
        nn.functional.linear(input.to(float64), layer.weight.to(float64), layer.bias?.to(float64));

    /// <summary>Within float32's rounding of sums of terms near 1, which may cancel.</summary>
    private static void AssertClose(Tensor expected, Tensor actual) => TensorAssert.Close(expected, actual, relative: 2e-6, absolute: 1e-6);
}
