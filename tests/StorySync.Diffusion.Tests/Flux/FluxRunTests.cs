using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

[Collection(typeof(AloneCollection))]
public sealed class FluxRunTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_forward_pass_leaves_nothing_but_its_result(bool streamed)
    {
        foreach (var reference in FluxModels.OneCaseOfEachModel)
        {
            using var comparison = new Comparison(reference);
            using var model = FluxModels.Load(reference.ModelPath, bfloat16, streamed);
            var inputs = FluxModels.Inputs(model, comparison).To(bfloat16);
            using var inference = inference_mode();
            LiveTensors.AssertNoneLeft(() => model.call(inputs, new DenoisingContext()).Dispose());
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Runs_at_once_on_one_model_give_what_each_gives_alone(bool streamed)
    {
        foreach (var cases in FluxModels.OneCaseOfEachModel.Select(c =>
            ReferenceData.Cases.Where(o => o.Group == c.Group && o.ModelPath == c.ModelPath).ToList()))
        {
            using var scope = NewDisposeScope();
            using var model = FluxModels.Load(cases[0].ModelPath, bfloat16, streamed);
            var comparisons = cases.Select(c => new Comparison(c)).ToList();
            var inputs = comparisons.Select(c => FluxModels.Inputs(model, c).To(bfloat16)).ToList();
            var alone = inputs.Select(i => FluxModels.Run(model, i)).ToList();
            for (var round = 0; round < 5; round++)
            {
                var together = new byte[inputs.Count][];
                Parallel.For(0, inputs.Count, i => together[i] = FluxModels.Run(model, inputs[i]));
                Assert.Equal(alone, together);
            }

            comparisons.ForEach(c => c.Dispose());
        }
    }

    [Fact]
    public void A_cancelled_run_stops_before_the_next_block()
    {
        var reference = FluxModels.OneCaseOfEachModel.First();
        using var comparison = new Comparison(reference);
        using var model = FluxModels.Load(reference.ModelPath);
        using var cancellation = new CancellationTokenSource();
        var called = new List<string>();
        var paths = model.AttentionProcessors.Layers.Select(layer => layer.Path).Take(2).ToList();
        var context = new DenoisingContext
        {
            CancellationToken = cancellation.Token,
            Processor = new CancelsIn(paths[1], cancellation, called),
        };
        Assert.Throws<OperationCanceledException>(() => FluxModels.Run(model, FluxModels.Inputs(model, comparison), context));
        Assert.Equal(paths, called);
    }

    private sealed class CancelsIn(string path, CancellationTokenSource cancellation, List<string> called) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            called.Add(layer.Path);
            if (layer.Path == path)
            {
                cancellation.Cancel();
            }

            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
