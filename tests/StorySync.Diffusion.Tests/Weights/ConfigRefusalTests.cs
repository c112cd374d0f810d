using System.Text.Json.Nodes;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>Numbers in a config that no layer can be built with: refused when the model is loaded, before anything is computed.</summary>
public class ConfigRefusalTests
{
    private const string Weights = "diffusion_pytorch_model.safetensors";

    [Theory]
    [InlineData("tiny-sdxl", "unet", "norm_num_groups")]
    [InlineData("tiny-sdxl", "vae", "norm_num_groups")]
    [InlineData("tiny-kandinsky3", "unet", "groups")]
    public void Groups_that_do_not_divide_the_channels(string model, string component, string entry)
    {
        var channels = Config(model, component)["block_out_channels"]![0]!.GetValue<int>();
        foreach (var groups in new[] { 0, -8, channels + 1, (2 * channels) + 1, 1_000_000_000 })
        {
            Refused(model, component, config => config[entry] = groups, $"'{entry}' is {groups}");
        }

        if (channels % 32 != 0)
        {
            Refused(model, component, config => config.Remove(entry), $"'{entry}' is 32");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1_000_000_000)]
    public void Heads_that_the_channels_cannot_be_split_into(int heads) =>
        Refused("tiny-sdxl", "unet", config => config["attention_head_dim"] = heads, $"'attention_head_dim' is {heads}");

    /// <summary>A changed config is refused, with its path and the entry.</summary>
    private static void Refused(string model, string component, Action<JsonObject> change, string expected)
    {
        using var folder = new TemporaryFolder();
        var (source, target) =
            (ReferenceData.PathOf($"models/{model}"), Directory.CreateDirectory(Path.Combine(folder.Path, component)).FullName);
        File.Copy(Path.Combine(source, "model_index.json"), Path.Combine(folder.Path, "model_index.json"));
        File.Copy(Path.Combine(source, component, Weights), Path.Combine(target, Weights));
        var config = Config(model, component);
        change(config);
        var path = Path.Combine(target, "config.json");
        File.WriteAllText(path, config.ToJsonString());

        var error = Assert.Throws<ModelFileException>(() => Load(ModelFolder.Open(folder.Path)).Dispose());
        Assert.Equal(path, error.Path);
        Assert.Contains(expected, error.Message[path.Length..], StringComparison.Ordinal);

        IDisposable Load(ModelFolder opened) => (model, component) switch
        {
            (_, "vae") => AutoencoderKL.Load(opened),
            ("tiny-kandinsky3", _) => Kandinsky3UNet.Load(opened),
            _ => UNet2DConditionModel.Load(opened),
        };
    }

    private static JsonObject Config(string model, string component) =>
        JsonNode.Parse(File.ReadAllText(ReferenceData.PathOf($"models/{model}/{component}/config.json")))!.AsObject();
}
