using StorySync.Attention;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

[Collection(LiveTensors.Alone)]
public class OneDnnTests
{
    [Theory]
    [InlineData(1, 7, 5, 3)]
    [InlineData(2, 33, 96, 768)]
    [InlineData(8, 256, 130, 17)]
    public void Linear_layer_is_the_product_that_it_says(int batch, int tokens, int width, int outWidth)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(width, outWidth));
        var (weight, bias) = (layer.weight.clone(), layer.bias!.clone());
        var input = randn(batch, width, tokens).transpose(1, 2);

        Assert.True(layer.call(input).allclose(nn.functional.linear(input, weight, bias), rtol: 1e-5, atol: 1e-4));
        Assert.True(layer.TanhGelu(input).allclose(
            nn.functional.gelu(nn.functional.linear(input, weight, bias), TorchSharp.Modules.GELU.Approximate.tanh), rtol: 1e-5, atol: 1e-4));
    }

    [Theory]
    [InlineData(1, 7, 5, 3)]
    [InlineData(2, 33, 96, 384)]
    public void Gated_layer_is_the_product_that_it_says(int batch, int tokens, int width, int outWidth)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Geglu(width, outWidth));
        var input = randn(batch, tokens, width);
        for (var round = 0; round < 3; round++)
        {
            var (weight, bias) = (layer.get_parameter("proj.weight")!, layer.get_parameter("proj.bias")!);
            var halves = nn.functional.linear(input, weight, bias).chunk(2, dim: -1);
            var expected = halves[0] * nn.functional.gelu(halves[1]);
            Assert.True(layer.call(input).allclose(expected, rtol: 1e-5, atol: 1e-3));
            Assert.Equal([2 * outWidth, width], weight.shape);
            RandomLayer.Bind(layer);
        }
    }

    [Fact]
    public void Gated_layer_frees_what_it_has_packed() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Geglu(6, 8));
        layer.call(randn(2, 6));
        RandomLayer.Bind(layer);
        layer.call(randn(2, 6));
        PackedWeights.Unpack(layer.get_parameter("proj.weight")!);
        layer.call(randn(2, 6));
    });

    [Theory]
    [InlineData(1, 4, 8, 9, 3, 1, 1)]
    [InlineData(2, 96, 32, 16, 3, 2, 1)]
    [InlineData(3, 5, 6, 7, 1, 1, 0)]
    public void Convolution_is_the_one_that_it_says_in_any_memory_order(int batch, int channels, int outChannels, int size, int kernel, int stride, int padding)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Conv2d(channels, outChannels, kernel, stride, padding));
        var (weight, bias) = (layer.weight.clone(), layer.bias!.clone());
        var input = randn(batch, channels, size, size + 2);
        var expected = nn.functional.conv2d(input, weight, bias, [stride, stride], [padding, padding]);

        Assert.True(layer.call(input).allclose(expected, rtol: 1e-5, atol: 1e-4));
        Assert.True(layer.call(input.ChannelsLast()).allclose(expected, rtol: 1e-5, atol: 1e-4));
    }

    [Theory]
    [InlineData(1, 4, 8, 9)]
    [InlineData(2, 96, 32, 16)]
    public void Transposed_convolution_is_the_one_that_it_says(int batch, int channels, int outChannels, int size)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new ConvTranspose2d(channels, outChannels, 2));
        var (weight, bias) = (layer.weight.clone(), layer.bias.clone());
        foreach (var input in new[] { randn(batch, channels, size, size + 2), randn(batch + 1, channels, size + 3, size).ChannelsLast() })
        {
            Assert.True(layer.call(input).allclose(nn.functional.conv_transpose2d(input, weight, bias, [2, 2]), rtol: 1e-5, atol: 1e-4));
        }
    }

    [Fact]
    public void Unpacked_weights_are_those_that_were_packed()
    {
        using var scope = NewDisposeScope();
        using var linear = RandomLayer.Bind(new Linear(50, 70));
        using var convolution = RandomLayer.Bind(new Conv2d(20, 30, 3, padding: 1));
        using var gated = RandomLayer.Bind(new Geglu(12, 7));
        foreach (var (parameter, run) in new (TorchSharp.Modules.Parameter, Action)[]
        {
            (linear.weight, () => linear.call(randn(4, 50))),
            (convolution.weight, () => convolution.call(randn(1, 20, 8, 8))),
            (gated.get_parameter("proj.weight")!, () => gated.call(randn(4, 12))),
        })
        {
            var before = parameter.clone();
            run();
            PackedWeights.Unpack(parameter);
            Assert.True(parameter.equal(before).all().item<bool>());
            run();
        }
    }

    [Fact]
    public void Input_of_a_wrong_shape_is_named()
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Linear(50, 70));
        var exception = Assert.Throws<ArgumentException>(() => layer.call(randn(4, 51)));
        Assert.Contains("(70, 50)", exception.Message, StringComparison.Ordinal);
        Assert.Contains("(4, 51)", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void First_runs_on_a_model_may_be_at_once()
    {
        for (var round = 0; round < 5; round++)
        {
            using var unet = UNet2DConditionModel.Load(ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl")));
            using var inputs = NewDisposeScope();
            var config = unet.Config;
            var input = new UNetInputs(randn(1, config.InChannels, 16, 16), tensor(10f), randn(1, 7, config.CrossAttentionDim[0]))
            {
                TextEmbeds = randn(1, config.ProjectionClassEmbeddingsInputDim!.Value - (6 * config.AdditionTimeEmbedDim!.Value)),
                TimeIds = randn(1, 6),
            };
            var results = new Tensor[4];
            Parallel.For(0, results.Length, i =>
            {
                using var mode = inference_mode();
                results[i] = unet.call(input, new DenoisingContext()).DetachFromDisposeScope();
            });
            Assert.All(results, result => Assert.True(result.equal(results[0]).all().item<bool>()));
            results.ToList().ForEach(result => result.Dispose());
        }
    }
}
