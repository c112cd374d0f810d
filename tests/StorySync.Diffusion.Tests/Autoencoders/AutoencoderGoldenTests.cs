using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

/// <summary>Against the goldens of make_goldens.py: what diffusers computes where the reference data has no case.</summary>
public class AutoencoderGoldenTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("tiny-gelu")]
    public void Tiny_autoencoder_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var golden = Open(name);
        using var model = AutoencoderTiny.Load(Folder(name));

        AssertClose(golden.Read("out.latents"), model.Encode(golden.Read("in.image")));
        AssertClose(golden.Read("out.image"), model.Decode(golden.Read("in.latents")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tiles_are_those_of_diffusers(bool sliced)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var golden = Open("kl-tiled");
        using var model = AutoencoderKL.Load(Folder("kl-tiled"), "");
        var latents = Twice(golden.Read("in.latents"));

        AssertClose(Twice(golden.Read("out.mean")), model.Encode(Twice(golden.Read("in.image")), sliced, tiled: true).Mean);
        AssertClose(Twice(golden.Read("out.image")), model.Decode(latents, sliced, tiled: true));
        AssertClose(Twice(golden.Read("out.whole")), model.Decode(latents, sliced));
    }

    private static Tensor Twice(Tensor x) => cat([x, x]);

    internal static string PathOf(string name) =>
        Path.Combine(ReferenceData.RepositoryRoot, "tests", "StorySync.Diffusion.Tests", "Autoencoders", "Goldens", name);

    private static ModelFolder Folder(string name) => ModelFolder.Open(PathOf(name));

    private static SafetensorsFile Open(string name) => SafetensorsFile.Open(Path.Combine(PathOf(name), "golden.safetensors"));

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        var allowed = 1e-5 * expected.abs().max().item<float>();
        Assert.InRange((expected - actual).abs().max().item<float>(), 0, allowed);
    }
}
