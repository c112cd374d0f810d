using System.Text.Json.Nodes;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

[Collection(typeof(AloneCollection))]
public class CLIPTextModelTests
{
    private static JsonObject Config => new()
    {
        ["vocab_size"] = 50,
        ["hidden_size"] = 12,
        ["intermediate_size"] = 20,
        ["num_attention_heads"] = 3,
        ["num_hidden_layers"] = 2,
        ["max_position_embeddings"] = 9,
        ["projection_dim"] = 5,
        ["hidden_act"] = "gelu",
        ["eos_token_id"] = 40,
    };

    private static CLIPTextConfig Parsed(string json)
    {
        using var folder = new TemporaryFolder();
        return ComponentConfig.Read<CLIPTextConfig>(folder.Write("config.json", json));
    }

    private static CLIPTextModelWithProjection Load(
        Func<Dictionary<string, Tensor>, Dictionary<string, Tensor>>? change = null, ScalarType dtype = ScalarType.Float32)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var blank = new CLIPTextModelWithProjection(Parsed(Config.ToJsonString()));
        var weights = RandomModel.Weights(blank);
        return CLIPTextModelWithProjection.Load(RandomModel.Write(folder, Config, change?.Invoke(weights) ?? weights), component: "",
            dtype);
    }

    private static Tensor Ids(params long[] ids) => tensor(ids, [1, ids.Length]);

    [Fact]
    public void Missing_and_null_entries_of_the_config_are_transformers_defaults()
    {
        var config = Parsed("""{"projection_dim": null, "torch_dtype": "float16"}""");

        Assert.Equal(
            (49408, 512, 2048, 512, 12, 8, 77, "quick_gelu", 1e-5, 49407L),
            (config.VocabSize, config.HiddenSize, config.IntermediateSize, config.ProjectionDim, config.NumHiddenLayers,
                config.NumAttentionHeads, config.MaxPositionEmbeddings, config.HiddenAct, config.LayerNormEps, config.EosTokenId));
    }

    [Fact]
    public void Names_are_read_with_and_without_prefix_and_position_ids_passed_over()
    {
        using var scope = NewDisposeScope();
        using var hub =
            Load(weights => new(weights) { ["text_model.embeddings.position_ids"] = arange(9, dtype: ScalarType.Int64).unsqueeze(0) });
        using var bare = Load(weights => weights.ToDictionary(
            entry => entry.Key.StartsWith("text_model.", StringComparison.Ordinal) ? entry.Key["text_model.".Length..] : entry.Key, entry =>
                entry.Value));
        var ids = Ids(1, 2, 40);

        Assert.True(hub.call(ids, default).TextEmbeds!.Equals(bare.call(ids, default).TextEmbeds!));
    }

    [Fact]
    public void A_token_does_not_see_what_follows()
    {
        using var scope = NewDisposeScope();
        using var model = Load();
        var one = model.call(Ids(1, 2, 3, 4), default).LastHiddenState;
        var other = model.call(Ids(1, 2, 3, 9), default).LastHiddenState;

        Assert.True(one.narrow(1, 0, 3).allclose(other.narrow(1, 0, 3), rtol: 0, atol: 1e-6));
        Assert.False(one.select(1, 3).allclose(other.select(1, 3), rtol: 0, atol: 1e-3));
    }

    [Theory]
    [InlineData(40, new long[] { 49, 3, 40, 7, 40 }, 2)]
    [InlineData(40, new long[] { 49, 3, 2, 7, 1 }, 0)]
    [InlineData(2, new long[] { 9, 3, 2, 49, 49 }, 3)]
    public void Pooled_output_is_the_state_at_the_end_token(long eos, long[] ids, int place)
    {
        using var scope = NewDisposeScope();
        using var blank = new CLIPTextModel(Parsed(Config.ToJsonString()) with { EosTokenId = eos });
        using var folder = new TemporaryFolder();
        var config = Config;
        config["eos_token_id"] = eos;
        using var model = CLIPTextModel.Load(RandomModel.Write(folder, config, RandomModel.Weights(blank)), component: "");
        var output = model.call(Ids(ids), default);

        Assert.True(output.PoolerOutput.Equals(output.LastHiddenState.select(1, place)));
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Token_table_stays_as_stored_and_the_result_is_the_same(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var half = Load(weights => weights.ToDictionary(entry => entry.Key, entry => entry.Value.to(ScalarType.Float16)), dtype);
        using var full =
            Load(weights => weights.ToDictionary(entry => entry.Key, entry => entry.Value.to(ScalarType.Float16).to(dtype)), dtype);
        var table = "text_model.embeddings.token_embedding.weight";
        var output = half.call(Ids(1, 2, 40), default);

        Assert.All(half.named_parameters(), entry => Assert.Equal(entry.name == table ? ScalarType.Float16 : dtype, entry.parameter.dtype));
        Assert.Equal(dtype, output.LastHiddenState.dtype);
        Assert.True(output.LastHiddenState.Equals(full.call(Ids(1, 2, 40), default).LastHiddenState));
    }

    [Fact]
    public void Ids_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        using var model = Load();

        Assert.Contains("50", Refused(Ids(1, 50)), StringComparison.Ordinal);
        Assert.Contains("-1", Refused(Ids(-1, 2)), StringComparison.Ordinal);
        Assert.Contains("at most 9", Refused(arange(10, dtype: ScalarType.Int64).unsqueeze(0)), StringComparison.Ordinal);
        Assert.Contains("Float32", Refused(ones(1, 3)), StringComparison.Ordinal);
        Assert.Contains("(3)", Refused(arange(3, dtype: ScalarType.Int64)), StringComparison.Ordinal);

        string Refused(Tensor ids) => Assert.Throws<ArgumentException>(() => model.call(ids, default)).Message;
    }

    [Fact]
    public void Configs_that_make_no_model_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new CLIPTextModel(new CLIPTextConfig { HiddenSize = 10, NumAttentionHeads = 3 }));
        Assert.Throws<NotSupportedException>(() => new CLIPTextModel(new CLIPTextConfig { HiddenAct = "snake" }));
        Assert.Throws<ModelFileException>(() => Parsed("""{"hidden_size": 0}"""));
    }

    [Fact]
    public void Encoding_can_be_cancelled()
    {
        using var model = Load();
        using var ids = Ids(1, 2);

        Assert.Throws<OperationCanceledException>(() => model.call(ids, new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Encoding_leaves_nothing_but_the_output()
    {
        using var model = Load();
        using var ids = Ids(1, 2, 40);
        LiveTensors.AssertNoneLeft(() =>
        {
            var output = model.call(ids, default);
            foreach (var tensor in output.HiddenStates.Concat([output.LastHiddenState, output.PoolerOutput, output.TextEmbeds!]))
            {
                tensor.Dispose();
            }
        });
    }
}
