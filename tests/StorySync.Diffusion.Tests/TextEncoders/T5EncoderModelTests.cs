using System.Text.Json.Nodes;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

[Collection(typeof(AloneCollection))]
public class T5EncoderModelTests
{
    private static JsonObject Config => new()
    {
        ["vocab_size"] = 50,
        ["d_model"] = 12,
        ["d_kv"] = 5,
        ["d_ff"] = 20,
        ["num_heads"] = 3,
        ["num_layers"] = 2,
        ["feed_forward_proj"] = "gated-gelu",
    };

    private static T5Config Parsed(string json)
    {
        using var folder = new TemporaryFolder();
        return ComponentConfig.Read<T5Config>(folder.Write("config.json", json));
    }

    private static T5EncoderModel Load(
        Func<Dictionary<string, Tensor>, Dictionary<string, Tensor>>? change = null, ScalarType dtype = ScalarType.Float32)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var blank = new T5EncoderModel(Parsed(Config.ToJsonString()));
        var weights = RandomModel.Weights(blank);
        return T5EncoderModel.Load(RandomModel.Write(folder, Config, change?.Invoke(weights) ?? weights), component: "", dtype);
    }

    private static Tensor Numbers(params long[] numbers) => tensor(numbers, [1, numbers.Length]);

    [Fact]
    public void Missing_entries_of_the_config_are_transformers_defaults()
    {
        var config = Parsed("{}");

        Assert.Equal(
            (32128, 512, 64, 2048, 6, 8, 32, 128, 1e-6, "relu"),
            (config.VocabSize, config.DModel, config.DKv, config.DFf, config.NumLayers, config.NumHeads,
                config.RelativeAttentionNumBuckets, config.RelativeAttentionMaxDistance, config.LayerNormEpsilon, config.FeedForwardProj));
    }

    [Theory]
    [InlineData("relu", false, "relu")]
    [InlineData("gelu", false, "gelu")]
    [InlineData("gated-gelu", true, "gelu_new")]
    [InlineData("gated-silu", true, "silu")]
    public void Feed_forward_is_named_by_one_entry(string entry, bool gated, string activation)
    {
        var config = new T5Config { FeedForwardProj = entry };

        Assert.Equal((gated, activation), (config.IsGated, config.ActivationName));
    }

    [Fact]
    public void A_feed_forward_of_unknown_form_is_refused() =>
        Assert.Contains("feed_forward_proj", Assert.Throws<ModelFileException>(() => Parsed("""{"feed_forward_proj": "gated-gelu-2"}""")).Message, StringComparison.Ordinal);

    [Fact]
    public void Token_table_is_read_under_both_its_names_and_the_decoder_passed_over()
    {
        using var scope = NewDisposeScope();
        using var plain = Load();
        using var twice = Load(weights => new(weights) { ["encoder.embed_tokens.weight"] = weights["shared.weight"].clone() });
        using var other = Load(weights => new(weights.Where(entry => entry.Key != "shared.weight"))
        {
            ["encoder.embed_tokens.weight"] = weights["shared.weight"],
            ["decoder.final_layer_norm.weight"] = ones(12),
            ["lm_head.weight"] = ones(50, 12),
        });
        var expected = plain.call(Numbers(4, 5, 1), null, default);

        Assert.True(expected.Equals(twice.call(Numbers(4, 5, 1), null, default)));
        Assert.True(expected.Equals(other.call(Numbers(4, 5, 1), null, default)));
    }

    [Fact]
    public void Masked_tokens_are_not_seen()
    {
        using var scope = NewDisposeScope();
        using var model = Load();
        var mask = Numbers(1, 1, 0);
        var one = model.call(Numbers(4, 5, 6), mask, default).narrow(1, 0, 2);
        var other = model.call(Numbers(4, 5, 9), mask, default).narrow(1, 0, 2);

        Assert.True(one.allclose(other, rtol: 0, atol: 1e-6));
        Assert.False(one.allclose(model.call(Numbers(4, 5, 6), null, default).narrow(1, 0, 2), rtol: 0, atol: 1e-3));
    }

    [Fact]
    public void A_text_that_is_masked_throughout_gives_numbers()
    {
        using var scope = NewDisposeScope();
        using var model = Load();

        Assert.True(model.call(Numbers(4, 5), Numbers(0, 0), default).isfinite().all().item<bool>());
    }

    [Fact]
    public void Float16_keeps_the_projection_that_overflows_in_float32()
    {
        using var scope = NewDisposeScope();
        using var model = Load(Large, ScalarType.Float16);
        using var full = Load(Large);
        var output = model.call(Numbers(4, 5, 1), null, default);

        Assert.All(model.named_parameters(), entry => Assert.Equal(
            entry.name == "shared.weight" || entry.name.EndsWith(".wo.weight", StringComparison.Ordinal) ? ScalarType.Float32
                : ScalarType.Float16,
            entry.parameter.dtype));
        Assert.Equal(ScalarType.Float16, output.dtype);
        Assert.True(output.to(ScalarType.Float32).allclose(full.call(Numbers(4, 5, 1), null, default), rtol: 0.02, atol: 0.02));

        // Sums beyond 65504, float16's largest number.
        static Dictionary<string, Tensor> Large(Dictionary<string, Tensor> weights) => weights.ToDictionary(
            entry => entry.Key,
            entry => entry.Value * (entry.Key.Contains(".wi_", StringComparison.Ordinal) ? 100
                : entry.Key.Contains(".wo.", StringComparison.Ordinal) ? 1000 : 1));
    }

    [Fact]
    public void A_mask_of_another_shape_is_refused()
    {
        using var scope = NewDisposeScope();
        using var model = Load();

        Assert.Throws<ArgumentException>(() => model.call(Numbers(4, 5), Numbers(1, 1, 1), default));
        Assert.Throws<ArgumentException>(() => model.call(Numbers(4, 50), null, default));
    }

    [Fact]
    public void Encoding_can_be_cancelled()
    {
        using var model = Load();
        using var ids = Numbers(1, 2);

        Assert.Throws<OperationCanceledException>(() => model.call(ids, null, new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Encoding_leaves_nothing_but_the_output()
    {
        using var model = Load();
        using var ids = Numbers(4, 5, 1);
        LiveTensors.AssertNoneLeft(() => model.call(ids, null, default).Dispose());
    }
}
