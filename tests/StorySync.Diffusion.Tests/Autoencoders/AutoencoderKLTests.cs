using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

public class AutoencoderKLTests
{
    private static readonly AutoencoderKLConfig Config = new()
    {
        DownBlockTypes = ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
        UpBlockTypes = ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
        BlockOutChannels = [6, 9, 12],
        NormNumGroups = 3,
    };

    [Fact]
    public void Latents_are_scaled_by_mean_and_deviation_of_each_channel()
    {
        using var scope = NewDisposeScope();
        using var model = new AutoencoderKL(Config with { LatentsMean = [1, 2, 3, 4], LatentsStd = [1, 2, 4, 8], ScalingFactor = 0.5 });
        var latents = ones(1, 4, 1, 1);

        Assert.Equal([0, -0.25f, -0.25f, -0.1875f], model.ScaleLatents(latents).data<float>().ToArray());
        Assert.Equal([3f, 6, 11, 20], model.UnscaleLatents(latents).data<float>().ToArray());
    }

    [Fact]
    public void Tiny_latents_are_scaled_and_shifted()
    {
        using var scope = NewDisposeScope();
        using var model = new AutoencoderTiny(new AutoencoderTinyConfig { ScalingFactor = 0.5, ShiftFactor = 3 });

        Assert.Equal([-1f, 1], model.ScaleLatents(tensor([1f, 5])).data<float>().ToArray());
        Assert.Equal([1f, 5], model.UnscaleLatents(tensor([-1f, 1])).data<float>().ToArray());
    }

    [Fact]
    public void A_tile_holds_a_latent_at_least()
    {
        using var model = new AutoencoderKL(Config);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.TileSize = 3);
    }

    [Fact]
    public void Log_variance_is_clamped()
    {
        using var scope = NewDisposeScope();
        using var distribution = new DiagonalGaussianDistribution(tensor([1f, -100, 2, 100]).reshape(1, 4, 1, 1));

        Assert.Equal([1f, -100], distribution.Mean.data<float>().ToArray());
        Assert.Equal([2f, 20], distribution.LogVar.data<float>().ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Old_names_of_attention_are_read(bool asConvolutions)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var mode = inference_mode();
        var weights = RandomWeights(Config);
        using var today = Load(folder, "today", weights);
        using var old = Load(folder, "old", weights.ToDictionary(
            w => w.Key.Replace("to_q", "query").Replace("to_k", "key").Replace("to_v", "value").Replace("to_out.0", "proj_attn"),
            w => asConvolutions && w.Key.Contains(".to_") && w.Value.ndim == 2 ? w.Value.unsqueeze(-1).unsqueeze(-1) : w.Value));
        var latents = Seeded.Normal(1, 4, 3, 5);

        Assert.Equal(0, (today.Decode(latents) - old.Decode(latents)).abs().max().item<float>());
    }

    [Theory]
    [InlineData(true, ScalarType.Float16, ScalarType.Float32)]
    [InlineData(false, ScalarType.Float16, ScalarType.Float16)]
    [InlineData(true, ScalarType.BFloat16, ScalarType.BFloat16)]
    public void Half_precision_runs_in_float32_where_the_config_forces_it(bool forced, ScalarType asked, ScalarType computed)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var mode = inference_mode();
        using var model = Load(folder, "vae", RandomWeights(Config), asked, $$""", "force_upcast": {{(forced ? "true" : "false")}}""");

        Assert.Equal(computed, model.Decode(Seeded.Normal([1, 4, 3, 5], asked)).dtype);
    }

    [Fact]
    public void Work_stops_between_blocks_when_it_is_cancelled()
    {
        using var scope = NewDisposeScope();
        using var mode = inference_mode();
        using var model = AutoencoderKL.Load(ModelFolder.Open(AutoencoderGoldenTests.PathOf("kl-tiled")), "");
        using var decoding = new CancellationTokenSource();
        using var encoding = new CancellationTokenSource();
        Block(model, "decoder.up_blocks.0").register_forward_hook((_, _, _, output) => Cancel(decoding, output));
        Block(model, "encoder.down_blocks.1").register_forward_hook((_, _, _, output) => Cancel(encoding, output));

        Assert.Throws<OperationCanceledException>(() => model.Decode(Seeded.Normal(1, 3, 3, 5), cancellationToken: decoding.Token));
        Assert.Throws<OperationCanceledException>(() => model.Encode(Seeded.Normal(1, 3, 6, 10), cancellationToken: encoding.Token));
    }

    [Fact]
    public void Another_shape_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        using var model = new AutoencoderKL(Config);

        var error = Assert.Throws<ArgumentException>("latents", () => model.Decode(zeros(1, 16, 3, 5)));
        Assert.Contains("(1, 16, 3, 5)", error.Message, StringComparison.Ordinal);
        Assert.Contains("(batch, 4, height, width)", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("images", () => model.Encode(zeros(3, 12, 20)));
    }

    [Fact]
    public void Levels_without_a_block_type_are_refused()
    {
        var error = Assert.Throws<ArgumentException>(() => new AutoencoderKL(Config with { BlockOutChannels = [6, 12] }));
        Assert.Contains("block_out_channels 2", error.Message, StringComparison.Ordinal);
    }

    private static AutoencoderBlock Block(AutoencoderKL model, string path) =>
        (AutoencoderBlock)model.named_modules().Single(m => m.name == path).module;

    private static Tensor Cancel(CancellationTokenSource source, Tensor output)
    {
        source.Cancel();
        return output;
    }

    private static Dictionary<string, Tensor> RandomWeights(AutoencoderKLConfig config)
    {
        using var model = new AutoencoderKL(config);
        return CheckpointShapes.Of(model).Shapes.ToDictionary(s => s.Key, s => Seeded.Normal([.. s.Value]) * 0.1);
    }

    private static AutoencoderKL Load(
        TemporaryFolder folder, string name, Dictionary<string, Tensor> weights, ScalarType dtype = ScalarType.Float32, string more = "")
    {
        var path = Directory.CreateDirectory(folder.PathOf(name)).FullName;
        SafetensorsWriter.Write(Path.Combine(path, "diffusion_pytorch_model.safetensors"), weights);
        File.WriteAllText(Path.Combine(path, "config.json"), $$"""
            { "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
              "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
              "block_out_channels": [6, 9, 12], "norm_num_groups": 3{{more}} }
            """);
        return AutoencoderKL.Load(ModelFolder.Open(folder.PathOf("")), name, dtype);
    }
}
