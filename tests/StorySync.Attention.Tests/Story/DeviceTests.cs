using StorySync.Kernels;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>What a story does to a device, seen without one: a meta tensor knows shape and type, has no numbers, and throws when asked for
/// them. What runs on it has asked nothing of the device.</summary>
public class DeviceTests
{
    private const int Scenes = 3;
    private const int Heads = 2;
    private const int Width = 8;
    private static readonly TokenGrid Grid = new(4, 4);
    private static readonly TokenGrid Coarse = new(2, 2);

    [Theory]
    [InlineData(AttentionKind.Self, true)]
    [InlineData(AttentionKind.Self, false)]
    [InlineData(AttentionKind.Joint, true)]
    public void A_step_asks_nothing_of_the_device(AttentionKind kind, bool guidance)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = Story(guidance, Given(), tokens: []);
        for (var step = 0; step < 4; step++)
        {
            var batch = story.BatchAt(step, 4);
            var inputs = Inputs(batch, kind, Grid, META);
            var attended = story.Attend(new("layer", kind, Heads, Width), inputs, new() { Step = step, Steps = 4 });
            Assert.Equal(inputs.Query.shape, attended.shape);
            Assert.Equal(DeviceType.META, attended.device_type);
            story.CompleteStep();
        }
    }

    /// <summary>A launch costs a device some microseconds, whatever it computes. libtorch's attention, which is one there, is six here, and
    /// seven with a mask; copies that it makes needless by the order of its results are counted too.</summary>
    [Theory]
    [InlineData(AttentionKind.Self, 1, 0, 36)]
    [InlineData(AttentionKind.Self, 1, 3, 33)]
    [InlineData(AttentionKind.Self, 2, 3, 42)]
    [InlineData(AttentionKind.Joint, 1, 3, 40)]
    [InlineData(AttentionKind.Cross, 1, 3, 7)]
    [InlineData(AttentionKind.Cross, 2, 3, 7)]
    public void A_layer_launches_little_more_than_without_a_story(AttentionKind kind, int subjects, int step, int most)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = Story(guidance: true, Given(), tokens: [1, 2], subjects);
        var inputs = Inputs(story.BatchAt(step, 4), kind, Grid, META);
        inputs = inputs with { Query = Half(inputs.Query), Key = Half(inputs.Key), Value = Half(inputs.Value) };
        AttentionLayer layer = new("layer", kind, Heads, Width);
        AttentionContext context = new() { Step = step, Steps = 4 };

        // What is made for new masks is there by the second call.
        story.Attend(layer, inputs, context);
        using var counter = new OperatorCounter();
        PlainAttention.Instance.Attend(layer, inputs, context);
        var plain = counter.Take().Launched;
        story.Attend(layer, inputs, context);
        var (launched, waited) = counter.Take();
        Assert.Empty(waited);
        Assert.True(
            launched.Count <= plain.Count + most, $"{launched.Count - plain.Count} more than without: {string.Join(' ', launched)}");

        static Tensor Half(Tensor x) => x.to(ScalarType.BFloat16);
    }

    [Fact]
    public void The_counter_sees_what_waits()
    {
        using var scope = NewDisposeScope();
        using var counter = new OperatorCounter();
        var x = arange(6).view(2, 3).gt(2);
        _ = x.nonzero();
        _ = x.Equals(x.clone());
        var (launched, waited) = counter.Take();
        Assert.Equal(["aten::nonzero", "aten::equal"], waited);
        Assert.Equal(["aten::arange", "aten::gt"], launched.Take(2));
    }

    [Fact]
    public void Maps_are_collected_without_asking_the_device()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = Story(guidance: true, masks: null, tokens: [1, 2]);
        var inputs = Inputs(story.BatchAt(0, 4), AttentionKind.Cross, Grid, META);
        var before = DeviceTransfer.Fetched;
        for (var layer = 0; layer < 3; layer++)
        {
            story.Attend(new("layer", AttentionKind.Cross, Heads, Width), inputs, new() { Steps = 4 });
        }

        Assert.Equal(before, DeviceTransfer.Fetched);

        // Sizes of masks are numbers: the end of a step does ask.
        Assert.ThrowsAny<Exception>(story.CompleteStep);
    }

    [Fact]
    public void Masks_come_once_a_step_and_indices_go_once_for_every_grid()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        using var story = Story(guidance: true, masks: null, tokens: [1, 2]);
        for (var step = 0; step < 4; step++)
        {
            var (sent, fetched) = (DeviceTransfer.Sent, DeviceTransfer.Fetched);
            for (var layer = 0; layer < 3; layer++)
            {
                foreach (var grid in new[] { Grid, Coarse })
                {
                    foreach (var kind in new[] { AttentionKind.Self, AttentionKind.Cross })
                    {
                        // float64 has no kernel of its own: it is gathered, as on a device.
                        story.Attend(new("layer", kind, Heads, Width), Inputs(story.BatchAt(step, 4), kind, grid, CPU),
                            new() { Step = step, Steps = 4 });
                    }
                }
            }

            Assert.Equal(fetched, DeviceTransfer.Fetched);
            story.CompleteStep();
            Assert.Equal(1, DeviceTransfer.Fetched - fetched);

            // For every grid the indices of sharing, what it adds to the logits, the indices of harmonization; at first the subjects'
            // words.
            Assert.InRange(DeviceTransfer.Sent - sent, 0, (step == 0 ? 1 : 0) + (2 * 3));
        }
    }

    [Fact]
    public void Given_masks_are_sent_once_for_all_steps()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = Story(guidance: false, Given(), tokens: []);
        Step(2);
        var (sent, fetched) = (DeviceTransfer.Sent, DeviceTransfer.Fetched);
        Step(3);
        Step(4);
        Assert.Equal((sent, fetched), (DeviceTransfer.Sent, DeviceTransfer.Fetched));

        void Step(int step)
        {
            story.Attend(
                new("layer", AttentionKind.Self, Heads, Width), Inputs(story.BatchAt(step, 6), AttentionKind.Self, Grid, META),
                    new() { Step = step, Steps = 6 });
            story.CompleteStep();
        }
    }

    /// <summary>As many tokens in every scene, so that attention needs no mask: libtorch has none on meta tensors.</summary>
    private static Tensor[] Given() =>
        [.. Enumerable.Range(0, Scenes).Select(scene => arange(Grid.Tokens).remainder(Scenes).eq(scene % 2).view(Grid.Height, Grid.Width))];

    private static StoryAttention Story(bool guidance, Tensor[]? masks, int[] tokens, int subjects = 1)
    {
        var options =
            new StoryAttentionOptions { Harmonization = new() { Steps = StepRange.All, Threshold = -1 }, Layout = new() { Until = 0.3 } };
        return new(
            options,
            [.. Enumerable.Range(0, subjects).Select(subject =>
                new StorySubject($"subject {subject}", [.. Enumerable.Repeat<IReadOnlyList<int>>(tokens, Scenes)])
                {
                    Masks = subject == 0 ? masks?[..Scenes] : masks?.Select(mask => mask.logical_not()).ToArray(),
                })],
            Scenes,
            guidance);
    }

    private static AttentionInputs Inputs(StoryBatch batch, AttentionKind kind, TokenGrid grid, Device device)
    {
        const int text = 5;
        var lead = kind == AttentionKind.Joint ? text : 0;
        var keys = kind == AttentionKind.Cross ? text : lead + grid.Tokens;
        return new(Tokens(lead + grid.Tokens), Tokens(keys), Tokens(keys), grid, kind == AttentionKind.Self ? 0 : text);

        Tensor Tokens(int count) => Seeded.Normal([batch.Rows, count, Heads, Width], ScalarType.Float64).to(device).transpose(1, 2);
    }
}
