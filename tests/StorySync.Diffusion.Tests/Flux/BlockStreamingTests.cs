using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class BlockStreamingTests
{
    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void Streamed_blocks_give_the_same_bytes_and_one_is_resident_at_a_time(ScalarType dtype)
    {
        foreach (var reference in FluxModels.OneCaseOfEachModel)
        {
            using var scope = NewDisposeScope();
            using var comparison = new Comparison(reference);
            using var whole = FluxModels.Load(reference.ModelPath, dtype);
            var inputs = FluxModels.Inputs(whole, comparison).To(dtype);
            using var streamed = FluxModels.Load(reference.ModelPath, dtype, streamBlocks: true);
            Assert.Empty(ResidentBlocks(streamed, dtype));

            var resident = new List<string[]>();
            var context = new DenoisingContext { Processor = new Observes(() => resident.Add(ResidentBlocks(streamed, dtype))) };
            Assert.Equal(FluxModels.Run(whole, inputs), FluxModels.Run(streamed, inputs, context));
            Assert.Equal(
                streamed.AttentionProcessors.Layers.Select(l => new[] { l.Path[..^".attn".Length] }), resident);
            Assert.Empty(ResidentBlocks(streamed, dtype));
        }
    }

    [Fact]
    public void Streaming_in_the_stored_type_gives_the_same_bytes()
    {
        foreach (var reference in FluxModels.OneCaseOfEachModel)
        {
            using var comparison = new Comparison(reference);
            using var whole = FluxModels.Load(reference.ModelPath);
            using var streamed = FluxModels.Load(reference.ModelPath, streamBlocks: true);
            var inputs = FluxModels.Inputs(whole, comparison);
            Assert.Equal(FluxModels.Run(whole, inputs), FluxModels.Run(streamed, inputs));
        }
    }

    [Fact]
    public void A_block_leaves_the_device_when_its_run_fails()
    {
        var reference = FluxModels.OneCaseOfEachModel.First();
        using var comparison = new Comparison(reference);
        using var model = FluxModels.Load(reference.ModelPath, bfloat16, streamBlocks: true);
        var inputs = FluxModels.Inputs(model, comparison).To(bfloat16);
        var expected = FluxModels.Run(model, inputs);
        var context = new DenoisingContext { Processor = new Observes(() => throw new InvalidOperationException("fails")) };
        Assert.Throws<InvalidOperationException>(() => FluxModels.Run(model, inputs, context));
        Assert.Empty(ResidentBlocks(model, bfloat16));
        Assert.Equal(expected, FluxModels.Run(model, inputs));
    }

    private static string[] ResidentBlocks(FluxTransformer2DModel model, ScalarType dtype) =>
    [
        .. model.named_parameters()
            .Where(p => p.name.Contains("transformer_blocks.", StringComparison.Ordinal) && p.parameter.dtype == dtype)
            .Select(p => string.Join('.', p.name.Split('.')[..2]))
            .Distinct(),
    ];

    private sealed class Observes(Action observe) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            observe();
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
