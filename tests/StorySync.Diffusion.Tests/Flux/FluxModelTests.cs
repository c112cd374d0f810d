using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxModelTests
{
    private static readonly FluxTransformer2DConfig Tiny = new()
    {
        InChannels = 8,
        NumLayers = 1,
        NumSingleLayers = 1,
        AttentionHeadDim = 12,
        NumAttentionHeads = 2,
        JointAttentionDim = 6,
        PooledProjectionDim = 5,
        AxesDimsRope = [4, 4, 4],
    };

    [Fact]
    public void Entries_that_are_missing_or_null_have_diffusers_defaults()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("config.json", """{ "_class_name": "FluxTransformer2DModel", "out_channels": null, "num_layers": null, "guidance_embeds": true, "axes_dims_rope": [32, 48, 48] }""");
        var config = ComponentConfig.Read<FluxTransformer2DConfig>(path);
        Assert.Equal((1, 64, null, 19, 38),
            (config.PatchSize, config.InChannels, config.OutChannels, config.NumLayers, config.NumSingleLayers));
        Assert.Equal((128, 24, 4096, 768, true), (config.AttentionHeadDim, config.NumAttentionHeads, config.JointAttentionDim,
            config.PooledProjectionDim, config.GuidanceEmbeds));
        Assert.Equal([32, 48, 48], config.AxesDimsRope);
        Assert.Equal([16, 56, 56], new FluxTransformer2DConfig().AxesDimsRope);
    }

    [Fact]
    public void A_prediction_has_patch_size_squared_times_out_channels()
    {
        using var model = new FluxTransformer2DModel(Tiny with { PatchSize = 2, OutChannels = 3 });
        Assert.Equal([12L, 24], CheckpointShapes.Of(model).Shapes["proj_out.weight"]);
    }

    [Theory]
    [InlineData(4, 4, 6)]
    [InlineData(3, 5, 4)]
    public void Axes_that_do_not_fill_a_head_are_refused(int t, int h, int w)
    {
        var error = Assert.Throws<ArgumentException>(() => new FluxTransformer2DModel(Tiny with { AxesDimsRope = [t, h, w] }));
        Assert.Contains($"[{t}, {h}, {w}]", error.Message, StringComparison.Ordinal);
        Assert.Contains("12", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Inputs_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        using var model = new FluxTransformer2DModel(Tiny);
        var grid = new TokenGrid(2, 3);
        var fits = new FluxInputs(zeros(2, 6, 8), grid, zeros(2, 4, 6), zeros(2, 5), zeros(2),
            model.EmbedPositions(FluxLatents.TextIds(4), FluxLatents.ImageIds(grid)));
        Refused(model, fits with { Grid = new TokenGrid(3, 3) }, "HiddenStates is (2, 6, 8)", "(2, 9, 8)");
        Refused(model, fits with { EncoderHiddenStates = zeros(1, 4, 6) }, "EncoderHiddenStates is (1, 4, 6)", "(2, 4, 6)");
        Refused(model, fits with { PooledProjections = zeros(2, 6) }, "PooledProjections is (2, 6)", "(2, 5)");
        Refused(model, fits with { Rotary = model.EmbedPositions(FluxLatents.TextIds(3), FluxLatents.ImageIds(grid)) }, "Rotary is (9, 6)",
            "(10, 6)");
        Refused(() => model.EmbedPositions(FluxLatents.TextIds(4), zeros(6, 2)), "imgIds is (6, 2)", "(6, 3)");
        Refused(() => model.EmbedPositions(zeros(2, 4, 3), FluxLatents.ImageIds(grid)), "txtIds is (2, 4, 3)", "(2, 3)");
        Refused(model, fits with { Guidance = ones(2) }, "guidance_embeds is false");
        using var dev = new FluxTransformer2DModel(Tiny with { GuidanceEmbeds = true });
        Refused(dev, fits, "guidance_embeds is true");
    }

    private static void Refused(FluxTransformer2DModel model, FluxInputs inputs, params string[] said) =>
        Refused(() => model.call(inputs, new DenoisingContext()), said);

    private static void Refused(Action call, params string[] said)
    {
        var error = Assert.Throws<ArgumentException>(call);
        Assert.All(said, s => Assert.Contains(s, error.Message, StringComparison.Ordinal));
    }
}
