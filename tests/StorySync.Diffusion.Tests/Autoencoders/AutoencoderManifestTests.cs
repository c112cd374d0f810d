using System.Text.Json;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

public class AutoencoderManifestTests
{
    /// <summary>The full-size autoencoders of the reference; each file holds a config and the shapes that follow from it.</summary>
    public static TheoryData<string> Manifests()
    {
        var folder = Path.Combine(ReferenceData.Root ?? "", "manifests");
        var files = Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.json").Where(file => Build(file) is not null) : [];
        return ReferenceData.Rows(files.Select(file => Path.GetFileName(file)));
    }

    [Theory]
    [MemberData(nameof(Manifests))]
    public void Full_size_model_has_the_tensors_of_the_real_one(string file)
    {
        var path = ReferenceData.PathOf("manifests/" + file);
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(path));
        var expected = manifest.RootElement.GetProperty("shapes").EnumerateObject()
            .Select(s => $"{s.Name} [{string.Join(", ", s.Value.EnumerateArray())}]").Order(StringComparer.Ordinal);
        using var model = Build(path)!;
        var actual = ModelManifest.Of(model);

        Assert.Equal(expected, actual.Shapes.Select(s => $"{s.Key} [{string.Join(", ", s.Value)}]").Order(StringComparer.Ordinal));
        Assert.Equal(manifest.RootElement.GetProperty("parameters").GetInt64(), actual.ElementCount);
    }

    private static nn.Module? Build(string path)
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(path));
        return manifest.RootElement.GetProperty("class").GetString() switch
        {
            "diffusers.AutoencoderKL" => new AutoencoderKL(Config<AutoencoderKLConfig>(manifest)),
            "diffusers.VQModel" => new VQModel(Config<VQModelConfig>(manifest)),
            _ => null,
        };
    }

    private static T Config<T>(JsonDocument manifest)
        where T : class
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, manifest.RootElement.GetProperty("config").GetRawText());
            return ComponentConfig.Read<T>(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
