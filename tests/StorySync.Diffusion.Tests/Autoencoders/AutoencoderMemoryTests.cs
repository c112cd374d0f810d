using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

[Collection(LiveTensors.Alone)]
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
            using var images = rand(2, 3, 34, 26);
            using var distribution = model.Encode(images, sliced, tiled);
            using var latents = distribution.Mode();
            model.Decode(latents, sliced, tiled).Dispose();
        });
    }
}
