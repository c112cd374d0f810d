using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

[Collection(typeof(AloneCollection))]
public class OneDnnTests
{
    [Theory]
    [InlineData(1, 4, 8, 9, 3, 1, 1)]
    [InlineData(2, 96, 32, 16, 3, 2, 1)]
    [InlineData(3, 5, 6, 7, 1, 1, 0)]
    [InlineData(1, 20, 40, 12, 3, 1, 1)]
    public void Convolution_is_the_one_that_it_says_in_any_memory_order(int batch, int channels, int outChannels, int size, int kernel,
        int stride, int padding)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new Conv2d(channels, outChannels, kernel, stride, padding));
        var (weight, bias) = (layer.weight.clone(), layer.bias!.clone());
        var input = Seeded.Normal(batch, channels, size, size + 2);
        var expected = nn.functional.conv2d(input.to(float64), weight.to(float64), bias.to(float64), [stride, stride], [padding, padding]);

        AssertClose(expected, layer.call(input));
        AssertClose(expected, layer.call(input.ChannelsLast()));
    }

    [Theory]
    [InlineData(1, 4, 8, 9)]
    [InlineData(2, 96, 32, 16)]
    public void Transposed_convolution_is_the_one_that_it_says(int batch, int channels, int outChannels, int size)
    {
        using var scope = NewDisposeScope();
        using var layer = RandomLayer.Bind(new ConvTranspose2d(channels, outChannels, 2));
        var (weight, bias) = (layer.weight.clone(), layer.bias!.clone());
        foreach (var input in new[]
        {
            Seeded.Normal(batch, channels, size, size + 2), Seeded.Normal(batch + 1, channels, size + 3, size).ChannelsLast(),
        })
        {
            AssertClose(nn.functional.conv_transpose2d(input.to(float64), weight.to(float64), bias.to(float64), [2, 2]), layer.call(input));
        }
    }

    [Fact]
    public void First_runs_on_a_model_may_be_at_once()
    {
        for (var round = 0; round < 5; round++)
        {
            using var unet = UNet2DConditionModel.Load(ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl")));
            using var inputs = NewDisposeScope();
            var config = unet.Config;
            var input = new UNetInputs(
                Seeded.Normal(1, config.InChannels, 16, 16), tensor(10f), Seeded.Normal(1, 7, config.CrossAttentionDim[0]))
            {
                TextEmbeds = Seeded.Normal(1, config.ProjectionClassEmbeddingsInputDim!.Value - (6 * config.AdditionTimeEmbedDim!.Value)),
                TimeIds = Seeded.Normal(1, 6),
            };
            var results = new Tensor[4];
            Parallel.For(0, results.Length, i =>
            {
                using var mode = inference_mode();
                results[i] = unet.call(input, new DenoisingContext()).DetachFromDisposeScope();
            });
            Assert.All(results, result => TensorAssert.SameBits(result, results[0]));
            results.ToList().ForEach(result => result.Dispose());
        }
    }

    private static void AssertClose(Tensor expected, Tensor actual) =>
        Assert.InRange(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 0, 5e-6);
}
