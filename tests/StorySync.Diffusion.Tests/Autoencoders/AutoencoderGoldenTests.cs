using System.Globalization;
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

        AssertClose(golden, "out.latents", model.Encode(golden.Read("in.image")));
        AssertClose(golden, "out.image", model.Decode(golden.Read("in.latents")));
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

        AssertClose(golden, "out.mean", model.Encode(Twice(golden.Read("in.image")), sliced, tiled: true).Mean);
        AssertClose(golden, "out.image", model.Decode(latents, sliced, tiled: true));
        AssertClose(golden, "out.whole", model.Decode(latents, sliced));
    }

    private static Tensor Twice(Tensor x) => cat([x, x]);

    internal static string PathOf(string name) =>
        Path.Combine(ReferenceData.RepositoryRoot, "tests", "StorySync.Diffusion.Tests", "Autoencoders", "Goldens", name);

    private static ModelFolder Folder(string name) => ModelFolder.Open(PathOf(name));

    private static SafetensorsFile Open(string name) => SafetensorsFile.Open(Path.Combine(PathOf(name), "golden.safetensors"));

    /// <summary>Compares every row with the golden's, within the tolerance in the file's metadata.</summary>
    private static void AssertClose(SafetensorsFile golden, string name, Tensor actual)
    {
        var expected = golden.Read(name);
        var tolerance = double.Parse(golden.Metadata[name], CultureInfo.InvariantCulture);
        TensorAssert.Close(expected.repeat([actual.shape[0] / expected.shape[0], 1, 1, 1]), actual, relative: 0, tolerance);
    }
}
