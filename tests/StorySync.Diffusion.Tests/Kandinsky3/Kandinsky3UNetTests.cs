using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Tests.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Kandinsky3;

[Collection(typeof(AloneCollection))]
public sealed class Kandinsky3UNetTests
{
    private static readonly Kandinsky3UNetConfig Small = new()
    {
        BlockOutChannels = [8, 16, 24],
        AttentionHeadDim = 4,
        Groups = 4,
        LayersPerBlock = 2,
        TimeEmbeddingDim = 12,
        CrossAttentionDim = 10,
        EncoderHidDim = 6,
    };

    [Fact]
    public void A_forward_pass_leaves_nothing_but_its_result()
    {
        using var model = Random(Small);
        using var scope = NewDisposeScope();
        var inputs = Inputs(height: 8, width: 4);
        using var inference = inference_mode();

        LiveTensors.AssertNoneLeft(() => model.call(inputs, new DenoisingContext()).Dispose());
        LiveTensors.AssertNoneLeft(() => Assert.Throws<OperationCanceledException>(
            () => model.call(inputs, new DenoisingContext { CancellationToken = new CancellationToken(canceled: true) })));
    }

    [Fact]
    public void Without_a_mask_every_token_counts()
    {
        using var model = Random(Small);
        using var scope = NewDisposeScope();
        var inputs = Inputs(height: 8, width: 4);
        var all = inputs with { EncoderAttentionMask = ones(2, 5, dtype: int64) };
        var firstOnly = inputs with { EncoderAttentionMask = tensor(new long[] { 1, 0, 0, 0, 0 }).expand(2, -1) };

        Assert.Equal(Kandinsky3Models.Run(model, all), Kandinsky3Models.Run(model, inputs with { EncoderAttentionMask = null }));
        Assert.NotEqual(Kandinsky3Models.Run(model, all), Kandinsky3Models.Run(model, firstOnly));
    }

    [Fact]
    public void Runs_at_once_on_one_model_give_what_each_gives_alone()
    {
        using var model = Random(Small);
        using var scope = NewDisposeScope();
        Kandinsky3Inputs[] inputs = [Inputs(8, 4), Inputs(4, 8), Inputs(12, 4), Inputs(4, 4)];
        var alone = inputs.Select(i => Kandinsky3Models.Run(model, i)).ToList();
        var together = new byte[inputs.Length][];
        Parallel.For(0, inputs.Length, i => together[i] = Kandinsky3Models.Run(model, inputs[i]));
        Assert.Equal(alone, together);
    }

    [Fact]
    public void Inputs_of_another_shape_are_refused_with_a_reason()
    {
        using var model = Random(Small);
        using var scope = NewDisposeScope();
        var good = Inputs(height: 8, width: 4);
        Refused("multiples of 4", good with { Sample = zeros(2, 4, 8, 6) });
        Refused("(2, 3, 8, 4)", good with { Sample = zeros(2, 3, 8, 4) });
        Refused("EncoderHiddenStates is (1, 5, 6)", good with { EncoderHiddenStates = zeros(1, 5, 6) });
        Refused("EncoderAttentionMask is (2, 4)", good with { EncoderAttentionMask = ones(2, 4, dtype: int64) });

        void Refused(string part, Kandinsky3Inputs inputs) => Assert.Contains(
            part, Assert.Throws<ArgumentException>(() => model.call(inputs, new DenoisingContext())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Configs_whose_numbers_do_not_fit_are_refused_with_a_reason()
    {
        Refused("5 levels", Small with { BlockOutChannels = [8, 16, 24, 24, 24] });
        Refused("'groups' is 4", Small with { BlockOutChannels = [8, 18, 24] });
        Refused("attention_head_dim, 64", Small with { AttentionHeadDim = 64 });

        static void Refused(string part, Kandinsky3UNetConfig config) =>
            Assert.Contains(part, Assert.Throws<ArgumentException>(() => new Kandinsky3UNet(config)).Message, StringComparison.Ordinal);
    }

    private static Kandinsky3UNet Random(Kandinsky3UNetConfig config)
    {
        var model = new Kandinsky3UNet(config);
        var weights = RandomModel.Weights(model);
        foreach (var parameter in ModuleTensors.Of(model))
        {
            parameter.Replace(weights[parameter.Name]);
        }

        return model;
    }

    private static Kandinsky3Inputs Inputs(long height, long width)
    {
        var mask = tensor(new long[] { 1, 1, 1, 0, 0, 0, 0, 0, 0, 0 }).view(2, 5);
        return new(Seeded.Normal(2, 4, height, width), tensor(500L), Seeded.Normal(2, 5, 6)) { EncoderAttentionMask = mask };
    }
}
