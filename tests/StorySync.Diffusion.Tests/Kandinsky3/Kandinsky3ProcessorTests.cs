using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Kandinsky3;

public sealed class Kandinsky3ProcessorTests
{
    [Fact]
    public void A_processor_is_told_layer_heads_grid_text_tokens_mask_and_step()
    {
        using var comparison = new Comparison(Kandinsky3Models.AnyCase);
        using var model = Kandinsky3Models.Load(comparison.Case.ModelPath);
        var config = model.Config;
        var inputs = Kandinsky3Models.Inputs(comparison);
        var plain = Kandinsky3Models.Run(model, inputs);

        using var recorder = new RecordingProcessor();
        Assert.Equal(plain, Kandinsky3Models.Run(model, inputs, new DenoisingContext { Steps = 4, Step = 3, Processor = recorder }));

        var expected = ExpectedCalls(config, (int)inputs.Sample.shape[2], (int)inputs.Sample.shape[3]).ToList();
        Assert.Equal(expected.Select(e => e.Path), recorder.Calls.Select(c => c.Layer.Path));
        Assert.Equal(expected.Select(e => e.Path).Order(), model.AttentionProcessors.Layers.Select(l => l.Path).Order());
        var (batch, text) = (inputs.Sample.shape[0], inputs.EncoderHiddenStates.shape[1]);
        foreach (var (call, (path, channels, grid)) in recorder.Calls.Zip(expected))
        {
            var self = path.EndsWith(".attentions.0.attention", StringComparison.Ordinal);
            var heads = channels / config.AttentionHeadDim;
            long[] query = [batch, heads, grid.Tokens, channels / heads];
            Assert.Equal(self ? AttentionKind.Self : AttentionKind.Cross, call.Layer.Kind);
            Assert.Equal((heads, channels / heads), (call.Layer.Heads, call.Layer.HeadWidth));
            Assert.Equal(grid, call.Grid);
            Assert.Equal(self ? 0 : text, call.TextTokens);
            Assert.Equal(query, call.Query);
            Assert.Equal([batch, heads, self ? grid.Tokens : text, channels / heads], call.Key);
            Assert.Equal(self ? null : [batch, 1, 1, text], call.Mask);
            Assert.Equal(3, call.Step);
        }
    }

    [Fact]
    public void A_processor_set_on_one_layer_serves_that_layer_unless_the_run_brings_its_own()
    {
        using var comparison = new Comparison(Kandinsky3Models.AnyCase);
        using var model = Kandinsky3Models.Load(comparison.Case.ModelPath);
        var inputs = Kandinsky3Models.Inputs(comparison);
        var path = model.AttentionProcessors.Layers.Last().Path;
        using var ofLayer = new RecordingProcessor();
        model.AttentionProcessors[path] = ofLayer;
        Kandinsky3Models.Run(model, inputs);
        Assert.Equal([path], ofLayer.Calls.Select(c => c.Layer.Path));

        using var ofRun = new RecordingProcessor();
        Kandinsky3Models.Run(model, inputs, new DenoisingContext { Processor = ofRun });
        Assert.Single(ofLayer.Calls);
        Assert.Equal(model.AttentionProcessors.Layers.Count(), ofRun.Calls.Count);
    }

    /// <summary>The attention layers in the order of a pass: on the way down self-attention begins a level, on the way up it ends
    /// one.</summary>
    private static IEnumerable<(string Path, int Channels, TokenGrid Grid)> ExpectedCalls(
        Kandinsky3UNetConfig config, int height, int width)
    {
        int[] channels = [config.BlockOutChannels[0] / 2, .. config.BlockOutChannels];
        var levels = config.BlockOutChannels.Count;
        TokenGrid Grid(int level) => new(height >> level, width >> level);
        for (var level = 1; level < levels; level++)
        {
            // A level begins on the grid that the one above has halved; its own last resnet halves it after the last attention.
            yield return ($"down_blocks.{level}.attentions.0.attention", channels[level], Grid(level));
            for (var i = 1; i <= config.LayersPerBlock; i++)
            {
                yield return ($"down_blocks.{level}.attentions.{i}.attention", channels[level + 1], Grid(level));
            }
        }

        // The fourth block on the way up has no attention, whatever the number of levels.
        for (var block = 0; block < Math.Min(levels, 3); block++)
        {
            // The first resnet of a level takes the skip connection in, and doubles the grid except in the lowest level.
            var level = levels - 1 - block;
            for (var i = 1; i <= config.LayersPerBlock; i++)
            {
                var wide = i == 1 && block > 0 ? 2 : 1;
                yield return ($"up_blocks.{block}.attentions.{i}.attention", wide * channels[level + 1], Grid(level));
            }

            yield return ($"up_blocks.{block}.attentions.0.attention", channels[level], Grid(level));
        }
    }
}
