using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

public class AutoencoderManifestTests
{
    /// <summary>The full-size autoencoders of the reference; each file holds a config and the shapes that follow from it.</summary>
    public static TheoryData<string> Manifests() => ReferenceData.FileNames(
        "manifests", manifest => manifest.GetProperty("class").GetString() is "diffusers.AutoencoderKL" or "diffusers.VQModel");

    [Theory]
    [MemberData(nameof(Manifests))]
    public void Full_size_model_has_the_tensors_of_the_real_one(string file)
    {
        var manifest = ReferenceData.Json("manifests/" + file);
        var expected = manifest.GetProperty("shapes").EnumerateObject()
            .Select(s => $"{s.Name} [{string.Join(", ", s.Value.EnumerateArray())}]").Order(StringComparer.Ordinal);
        using var folder = new TemporaryFolder();
        var config = folder.Write("config.json", manifest.GetProperty("config").GetRawText());
        using nn.Module model = manifest.GetProperty("class").GetString() == "diffusers.VQModel"
            ? new VQModel(ComponentConfig.Read<VQModelConfig>(config))
            : new AutoencoderKL(ComponentConfig.Read<AutoencoderKLConfig>(config));
        var actual = CheckpointShapes.Of(model);

        Assert.Equal(expected, actual.Shapes.Select(s => $"{s.Key} [{string.Join(", ", s.Value)}]").Order(StringComparer.Ordinal));
        Assert.Equal(manifest.GetProperty("parameters").GetInt64(), actual.ElementCount);
    }
}
