using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class LayerCountTests
{
    private sealed record Config
    {
        [LayerCount("layers")]
        public int NumLayers { get; init; }

        [LayerCount("blocks")]
        public OneOrMany<int> BlocksPerStage { get; init; } = 0;

        public Inner? Text { get; init; }

        public int this[int index] => index;
    }

    private sealed record Inner
    {
        [LayerCount("towers")]
        public int NumTowers { get; init; }
    }

    private static string? Problem(Config config)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("w.safetensors");
        SafetensorsWriter.Write(path, new[] { "layers.0.w", "layers.2.w", "down.layers.1.w", "a.blocks.1.w", "x", "y", "z" }
            .ToDictionary(name => name, _ => zeros(1)));
        using var file = SafetensorsFile.Open(path);
        return LayerCountAttribute.Problem(config, file)?.Replace(path, "FILE", StringComparison.Ordinal);
    }

    [Fact]
    public void As_many_layers_as_the_file_has_are_fine()
    {
        Assert.Null(Problem(new Config { NumLayers = 3, BlocksPerStage = 2 }));
        Assert.Null(Problem(new Config { NumLayers = 1, BlocksPerStage = new[] { 0, 2, 1 } }));
    }

    [Fact]
    public void More_are_not()
    {
        Assert.StartsWith("'num_layers' is 4, but FILE has 3 layers there; the config is another model's",
            Problem(new Config { NumLayers = 4 }), StringComparison.Ordinal);
        Assert.StartsWith("'blocks_per_stage' is 3, but FILE has 2 layers there",
            Problem(new Config { BlocksPerStage = new[] { 0, 3, 1 } }), StringComparison.Ordinal);
    }

    [Fact]
    public void Where_layers_have_no_numbers_there_are_at_most_as_many_as_tensors()
    {
        Assert.Null(Problem(new Config { Text = new Inner { NumTowers = 7 } }));
        Assert.StartsWith("'text.num_towers' is 8, but FILE has 7 tensors in all",
            Problem(new Config { Text = new Inner { NumTowers = 8 } }), StringComparison.Ordinal);
    }
}
