using System.Text.Json.Nodes;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Sdxl;

/// <summary>Numbers in a config that no layer can be built with: refused when the model is loaded, before anything is computed.</summary>
public class UNetConfigRefusalTests
{
    [Theory]
    [InlineData("norm_num_groups", null, "'norm_num_groups' is 32")]
    [InlineData("norm_num_groups", 0, "'norm_num_groups' is 0")]
    [InlineData("norm_num_groups", -8, "'norm_num_groups' is -8")]
    [InlineData("norm_num_groups", 7, "'norm_num_groups' is 7")]
    [InlineData("norm_num_groups", 1_000_000_000, "'norm_num_groups' is 1000000000")]
    [InlineData("attention_head_dim", 0, "'attention_head_dim' is 0")]
    [InlineData("attention_head_dim", 1_000_000_000, "'attention_head_dim' is 1000000000")]
    public void A_number_that_does_not_fit_is_refused_with_the_file_and_the_entry(string entry, int? value, string expected)
    {
        using var folder = new TemporaryFolder();
        var source = ReferenceData.PathOf("models/tiny-sdxl");
        var unet = Directory.CreateDirectory(Path.Combine(folder.Path, "unet")).FullName;
        File.Copy(Path.Combine(source, "model_index.json"), Path.Combine(folder.Path, "model_index.json"));
        const string Weights = "diffusion_pytorch_model.safetensors";
        File.Copy(Path.Combine(source, "unet", Weights), Path.Combine(unet, Weights));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "unet", "config.json")))!.AsObject();
        config.Remove(entry);
        if (value is { } number)
        {
            config.Add(entry, number);
        }

        var path = Path.Combine(unet, "config.json");
        File.WriteAllText(path, config.ToJsonString());
        var error = Assert.Throws<ModelFileException>(() => UNet2DConditionModel.Load(ModelFolder.Open(folder.Path)).Dispose());
        Assert.Equal(path, error.Path);
        Assert.Contains(expected, error.Message[path.Length..], StringComparison.Ordinal);
    }
}
