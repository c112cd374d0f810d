using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxProcessorTests
{
    [Fact]
    public void A_processor_is_told_layer_heads_grid_text_tokens_and_step()
    {
        foreach (var reference in FluxModels.OneCaseOfEachModel)
        {
            using var comparison = new Comparison(reference);
            using var model = FluxModels.Load(reference.ModelPath);
            var config = model.Config;
            var inputs = FluxModels.Inputs(model, comparison);
            var plain = FluxModels.Run(model, inputs);

            using var recorder = new RecordingProcessor();
            Assert.Equal(plain, FluxModels.Run(model, inputs, new DenoisingContext { Steps = 4, Step = 3, Processor = recorder }));

            string[] paths =
            [
                .. Enumerable.Range(0, config.NumLayers).Select(i => $"transformer_blocks.{i}.attn"),
                .. Enumerable.Range(0, config.NumSingleLayers).Select(i => $"single_transformer_blocks.{i}.attn"),
            ];
            Assert.Equal(paths, recorder.Calls.Select(c => c.Layer.Path));
            Assert.Equal(paths, model.AttentionProcessors.Layers.Select(l => l.Path));
            var (batch, text) = (inputs.HiddenStates.shape[0], (int)inputs.EncoderHiddenStates.shape[1]);
            long[] shape = [batch, config.NumAttentionHeads, text + inputs.Grid.Tokens, config.AttentionHeadDim];
            foreach (var call in recorder.Calls)
            {
                Assert.Equal(AttentionKind.Joint, call.Layer.Kind);
                Assert.Equal(config.NumAttentionHeads, call.Layer.Heads);
                Assert.Equal(config.AttentionHeadDim, call.Layer.HeadWidth);
                Assert.Equal(inputs.Grid, call.Grid);
                Assert.Equal(text, call.TextTokens);
                Assert.Equal(3, call.Step);
                Assert.Equal([shape, shape, shape], [call.Query, call.Key, call.Value]);
                Assert.Equal([shape[2], shape[3] / 2], call.Rotary!);
            }
        }
    }

    [Fact]
    public void A_processor_set_on_one_layer_serves_that_layer_unless_the_run_brings_its_own()
    {
        var reference = FluxModels.OneCaseOfEachModel.First();
        using var comparison = new Comparison(reference);
        using var model = FluxModels.Load(reference.ModelPath);
        var inputs = FluxModels.Inputs(model, comparison);
        var path = model.AttentionProcessors.Layers.Last().Path;
        using var ofLayer = new RecordingProcessor();
        model.AttentionProcessors[path] = ofLayer;
        FluxModels.Run(model, inputs);
        Assert.Equal([path], ofLayer.Calls.Select(c => c.Layer.Path));

        using var ofRun = new RecordingProcessor();
        FluxModels.Run(model, inputs, new DenoisingContext { Processor = ofRun });
        Assert.Single(ofLayer.Calls);
        Assert.Equal(model.AttentionProcessors.Layers.Count(), ofRun.Calls.Count);
    }

    [Fact]
    public void Text_leads_in_what_a_processor_gets_and_gives()
    {
        var reference = FluxModels.OneCaseOfEachModel.First();
        using var comparison = new Comparison(reference);
        using var model = FluxModels.Load(reference.ModelPath);
        var inputs = FluxModels.Inputs(model, comparison);
        using var inference = inference_mode();

        // With the image's answer erased in the first layer, the text of the first block is as before and the image is not.
        var (text, image) = FirstBlock(model, inputs, PlainAttention.Instance);
        var (textAfter, imageAfter) = FirstBlock(model, inputs, new ErasesImage());
        TensorAssert.SameBits(text, textAfter);
        Assert.False(image.allclose(imageAfter));
    }

    private static (Tensor Text, Tensor Image) FirstBlock(
        FluxTransformer2DModel model, FluxInputs inputs, IAttentionProcessor processor)
    {
        (Tensor, Tensor)? seen = null;
        var block = (FluxTransformerBlock)model.named_modules().Single(m => m.name == "transformer_blocks.0").module;
        var hook = block.register_forward_hook((_, _, _, _, _, result) =>
        {
            seen = (result.Text.clone().DetachFromDisposeScope(), result.Image.clone().DetachFromDisposeScope());
            return result;
        });
        model.call(inputs, new DenoisingContext { Processor = processor }).Dispose();
        hook.remove();
        return seen!.Value;
    }

    private sealed class ErasesImage : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            var attended = PlainAttention.Instance.Attend(layer, inputs, context);
            attended.slice(2, inputs.TextTokens, attended.shape[2], 1).zero_();
            return attended;
        }
    }
}
