using System.Text.Json;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Diffusion.Tests.Weights;

public class CheckpointShapesTests
{
    private sealed class Giant : torch.nn.Module
    {
        public readonly Linear proj = new(1 << 20, 1 << 20);
        public readonly GroupNorm norm = new(4, 8, 1e-5);

        public Giant()
            : base(nameof(Giant)) => RegisterComponents();
    }

    [Fact]
    public void A_module_larger_than_memory_prints_its_shapes()
    {
        using var module = new Giant();
        var manifest = CheckpointShapes.Of(module);
        Assert.Equal((1L << 40) + (1L << 20) + 16, manifest.ElementCount);
        using var folder = new TemporaryFolder();
        manifest.Save(folder.PathOf("manifest.json"));
        using var json = JsonDocument.Parse(File.ReadAllBytes(folder.PathOf("manifest.json")));
        Assert.Equal(["norm.bias", "norm.weight", "proj.bias", "proj.weight"],
            json.RootElement.EnumerateObject().Select(entry => entry.Name));
        Assert.Equal([1L << 20, 1 << 20], json.RootElement.GetProperty("proj.weight").EnumerateArray().Select(size => size.GetInt64()));
    }

    [Fact]
    public void A_checkpoint_prints_its_shapes()
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors",
            SafetensorsBytes.Of("""{"\"":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 1f)));
        Assert.Equal("{\n  \"\\u0022\": []\n}\n", CheckpointShapes.Of(file).ToJson());
    }
}
