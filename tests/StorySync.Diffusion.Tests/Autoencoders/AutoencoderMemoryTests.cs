using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

[Collection(typeof(AloneCollection))]
public class AutoencoderMemoryTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Encoding_and_decoding_leave_nothing_behind(bool sliced, bool tiled)
    {
        using var mode = inference_mode();
        using var model = AutoencoderKL.Load(ModelFolder.Open(AutoencoderGoldenTests.PathOf("kl-tiled")), "");
        LiveTensors.AssertNoneLeft(() =>
        {
            using var images = Seeded.Uniform(2, 3, 34, 26);
            using var distribution = model.Encode(images, sliced, tiled);
            using var latents = distribution.Mode();
            model.Decode(latents, sliced, tiled).Dispose();
        });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Channels_lie_side_by_side_from_the_first_layer_to_the_last(int batch)
    {
        using var scope = NewDisposeScope();
        using var mode = inference_mode();
        using var model = AutoencoderKL.Load(ModelFolder.Open(AutoencoderGoldenTests.PathOf("kl-tiled")), "");
        var strides = new List<long>();
        foreach (var layer in model.modules().OfType<nn.Module<Tensor, Tensor?, Tensor>>())
        {
            layer.register_forward_hook((_, _, _, output) =>
            {
                strides.Add(output.stride(1));
                return output;
            });
        }

        using var distribution = model.Encode(Seeded.Uniform(batch, 3, 34, 26));
        model.Decode(distribution.Mean);

        Assert.NotEmpty(strides);
        Assert.All(strides, stride => Assert.Equal(1, stride));
    }
}
