using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Tests.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Sdxl;

public class UNetModelTests
{
    private static readonly UNet2DConditionConfig Small = new()
    {
        BlockOutChannels = [8, 16],
        DownBlockTypes = ["DownBlock2D", "CrossAttnDownBlock2D"],
        UpBlockTypes = ["CrossAttnUpBlock2D", "UpBlock2D"],
        NormNumGroups = 4,
        LayersPerBlock = 1,
        CrossAttentionDim = 12,
        AttentionHeadDim = 2,
    };

    public static TheoryData<string> Manifests() =>
        ReferenceData.FileNames("manifests", manifest => manifest.GetProperty("class").GetString() == "diffusers.UNet2DConditionModel");

    [Theory]
    [MemberData(nameof(Manifests))]
    public void Full_size_model_has_the_names_and_shapes_of_the_checkpoint(string manifest)
    {
        var expected = ReferenceData.Json("manifests/" + manifest);
        using var folder = new TemporaryFolder();
        var config = folder.Write("config.json", expected.GetProperty("config").GetRawText());
        using var model = new UNet2DConditionModel(ComponentConfig.Read<UNet2DConditionConfig>(config));

        Assert.Equal(
            expected.GetProperty("shapes").EnumerateObject()
                .ToDictionary(t => t.Name, t => string.Join(",", t.Value.EnumerateArray().Select(d => d.GetInt64()))),
            model.named_parameters().ToDictionary(p => p.name, p => string.Join(",", p.parameter.shape)));
        Assert.Equal(expected.GetProperty("parameters").GetInt64(), model.parameters().Sum(p => p.numel()));
    }

    [Fact]
    public void A_processor_is_called_with_its_layer_grid_heads_and_step()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var model = Random(Small);
        using var recorder = new RecordingProcessor();
        model.AttentionProcessors.SetAll(recorder);

        Run(model, new DenoisingContext { Steps = 9, Step = 4 });

        Assert.Equal(model.AttentionProcessors.Layers, recorder.Calls.Select(c => c.Layer));
        Assert.All(recorder.Calls, c => Assert.Equal((2, 8, new TokenGrid(3, 4), 4), (c.Layer.Heads, c.Layer.HeadWidth, c.Grid, c.Step)));
        Assert.Equal([0, 5],
            recorder.Calls.Where(c => c.Layer.Path.StartsWith("mid_block.", StringComparison.Ordinal)).Select(c => c.TextTokens));
        Assert.Contains(recorder.Calls, c => c.Layer.Path == "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
            && c.Layer.Kind == AttentionKind.Self);
        Assert.Contains(recorder.Calls, c => c.Layer.Path == "up_blocks.0.attentions.1.transformer_blocks.0.attn2"
            && c.Layer.Kind == AttentionKind.Cross);
    }

    [Fact]
    public void A_processor_can_be_set_on_one_layer_and_a_runs_own_goes_before_it()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var model = Random(Small);
        using var one = new RecordingProcessor();
        using var whole = new RecordingProcessor();
        const string path = "mid_block.attentions.0.transformer_blocks.0.attn1";
        model.AttentionProcessors[path] = one;

        Run(model, new DenoisingContext());
        Assert.Same(one, model.AttentionProcessors[path]);
        Assert.Equal(path, Assert.Single(one.Calls).Layer.Path);

        Run(model, new DenoisingContext { Processor = whole });
        Assert.Single(one.Calls);
        Assert.Equal(model.AttentionProcessors.Layers.Count(), whole.Calls.Count);
        Assert.Contains("'nowhere'", Assert.Throws<KeyNotFoundException>(() => model.AttentionProcessors["nowhere"] = one).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_run_stops_between_layers()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var model = Random(Small);
        using var source = new CancellationTokenSource();
        using var recorder = new RecordingProcessor(source.Cancel);

        Assert.Throws<OperationCanceledException>(() =>
            Run(model, new DenoisingContext { Processor = recorder, CancellationToken = source.Token }));
        Assert.InRange(recorder.Calls.Count, 1, 2);
    }

    [Theory]
    [InlineData("""{ "block_out_channels": [8], "norm_num_groups": 0 }""", "norm_num_groups")]
    [InlineData("""{ "class_embed_type": "timestep" }""", "class_embed_type")]
    [InlineData("""{ "down_block_types": ["AttnDownBlock2D"] }""", "down_block_types")]
    [InlineData("""{ "act_fn": 3 }""", "act_fn")]
    public void A_config_that_cannot_be_built_is_refused_by_its_entry(string json, string entry)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("config.json", json);
        var error = Assert.Throws<ModelFileException>(() => ComponentConfig.Read<UNet2DConditionConfig>(path));
        Assert.Contains(entry, error.Message, StringComparison.Ordinal);
    }

    private static UNet2DConditionModel Random(UNet2DConditionConfig config)
    {
        var model = new UNet2DConditionModel(config);
        var weights = RandomModel.Weights(model);
        foreach (var parameter in ModuleTensors.Of(model))
        {
            parameter.Replace(weights[parameter.Name]);
        }

        return model;
    }

    private static Tensor Run(UNet2DConditionModel model, DenoisingContext context) =>
        model.call(new UNetInputs(Seeded.Normal(1, 4, 6, 8), tensor(500f), Seeded.Normal(1, 5, 12)), context);
}
