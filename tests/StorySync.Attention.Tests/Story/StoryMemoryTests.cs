using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

[Collection(typeof(AloneCollection))]
public class StoryMemoryTests
{
    [Fact]
    public void A_run_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() =>
    {
        using var mode = inference_mode();
        using var mask = ones([5, 5], ScalarType.Bool);
        using var random = new Generator(2);
        var options = new StoryAttentionOptions
        {
            Sharing = new() { Dropout = 0.2, Strength = 0.7 },
            Harmonization = new() { Steps = StepRange.All },
            Masks = new() { Closing = 1, ReadyAfterLayers = 1 },
        };
        using var story =
            new StoryAttention(options, [new("fox", [[1], [2]]), new("owl", [[3], []]) { Masks = [null, mask] }], 2, guidance: true);
        for (var step = 0; step < 4; step++)
        {
            using (NewDisposeScope())
            {
                var batch = story.BatchAt(step, 4);
                var context = new AttentionContext { Step = step, Steps = 4 };
                foreach (var kind in Enum.GetValues<AttentionKind>())
                {
                    var inputs = SubjectMapTests.Inputs(kind, new(6, 8), batch, random);
                    story.Attend(SubjectMapTests.Layer(kind), kind == AttentionKind.Self ? Alike(inputs) : inputs, context);
                }
            }

            story.CompleteStep();
            story.MaskOf(0)!.Dispose();
            story.MapOf(0)!.Dispose();
        }

        static AttentionInputs Alike(AttentionInputs inputs) => inputs with { Key = inputs.Query, Value = inputs.Query, TextTokens = 0 };
    });

    [Fact]
    public void Two_runs_at_once_on_two_threads_give_what_each_gives_alone()
    {
        var alone = new[] { Run(1), Run(2) };
        var together = new float[2][];
        Parallel.For(0, 2, run => together[run] = Run(run + 1));
        Assert.Equal(alone, together);

        static float[] Run(int seed)
        {
            using var mode = inference_mode();
            using var scope = NewDisposeScope();
            using var random = new Generator((ulong)seed);
            using var story =
                new StoryAttention(new() { Sharing = new() { Dropout = 0.3 } }, [new("fox", [[1], [2]])], 2, guidance: false, seed);
            var results = new List<float>();
            for (var step = 0; step < 4; step++)
            {
                var batch = story.BatchAt(step, 4);
                var inputs = SubjectMapTests.Inputs(AttentionKind.Joint, new(6, 8), batch, random);
                results.AddRange(story.Attend(SubjectMapTests.Layer(AttentionKind.Joint), inputs, new() { Step = step, Steps = 4 })
                    .contiguous().data<float>());
                story.CompleteStep();
            }

            return [.. results];
        }
    }
}
