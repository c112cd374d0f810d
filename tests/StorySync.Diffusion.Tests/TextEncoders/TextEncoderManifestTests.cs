using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

public class TextEncoderManifestTests
{
    public static TheoryData<string> Manifests() => ReferenceData.FileNames(
        "manifests", manifest => manifest.GetProperty("class").GetString()!.StartsWith("transformers.", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Manifests))]
    public void Full_size_model_has_the_tensors_of_its_checkpoint(string file)
    {
        var manifest = ReferenceData.Json("manifests/" + file);
        using var folder = new TemporaryFolder();
        var config = folder.Write("config.json", manifest.GetProperty("config").GetRawText());
        using nn.Module model = manifest.GetProperty("class").GetString() switch
        {
            "transformers.CLIPTextModel" => new CLIPTextModel(ComponentConfig.Read<CLIPTextConfig>(config)),
            "transformers.CLIPTextModelWithProjection" => new CLIPTextModelWithProjection(ComponentConfig.Read<CLIPTextConfig>(config)),
            "transformers.CLIPModel" => new CLIPModel(ComponentConfig.Read<CLIPConfig>(config)),
            "transformers.T5EncoderModel" => new T5EncoderModel(ComponentConfig.Read<T5Config>(config)),
            var kind => throw new NotSupportedException($"{file} is of a class these tests do not know: {kind}."),
        };

        var expected = manifest.GetProperty("shapes").EnumerateObject()
            .ToDictionary(shape => shape.Name, shape => shape.Value.EnumerateArray().Select(size => size.GetInt64()).ToArray());
        Assert.Equal(expected, ModuleTensors.Of(model).ToDictionary(entry => entry.Name, entry => entry.Tensor.shape));
        Assert.Equal(manifest.GetProperty("parameters").GetInt64(), model.parameters().Sum(parameter => parameter.numel()));
    }
}
