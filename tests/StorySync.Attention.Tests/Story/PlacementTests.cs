using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>Image tokens outside a subject's region turn from its words. What they compute stands in <see cref="MethodReferenceTests"/>
/// and, together with sharing, in <see cref="StoryAttentionTests"/>.</summary>
public class PlacementTests
{
    private const int Heads = 2;
    private const int Width = 8;
    private const int Text = 9;
    private static readonly TokenGrid Grid = new(4, 6);
    private static readonly int[] Words = [2, 3];

    [Theory]
    [InlineData(ScalarType.Float64, 1e-12)]
    [InlineData(ScalarType.Float32, 2e-6)]
    public void The_positive_half_of_both_branches_is_placed_where_text_is_masked_too(ScalarType dtype, double tolerance)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (options, region) = (new StoryAttentionOptions { Layout = new() { Until = 1 }, Placement = new() { Until = 1 } }, Left());
        using var story = new StoryAttention(options, [new("fox", [Words, Words]) { Regions = [region, null] }], 2, guidance: true);
        var batch = story.BatchAt(0, 2);
        var padding = zeros([batch.Rows, 1, 1, Text], dtype);
        padding[.., .., .., 7..] = -10000;
        var inputs = Inputs(batch.Rows, dtype) with { Mask = padding };
        var attended = story.Attend(Cross, inputs, new() { Steps = 2 });

        // Rows: negative (modified 0 and 1, base 2 and 3), positive (4, 5; 6, 7); the first scene's are the even ones.
        var plain = PlainAttention.Instance.Attend(Cross, inputs, new());
        for (var row = 0; row < batch.Rows; row++)
        {
            if (row is not (4 or 6))
            {
                TensorAssert.SameBits(plain[row], attended[row]);
                continue;
            }

            var outside = region.flatten().logical_not().unsqueeze(1);
            var isWord = zeros([1, Text], ScalarType.Bool);
            isWord[0, 2..4] = true;
            var logits = inputs.Query[row].to(float64).matmul(inputs.Key[row].to(float64).transpose(1, 2)) / Math.Sqrt(Width);
            var expected = (logits + padding[row].to(float64)).masked_fill(outside.logical_and(isWord), double.NegativeInfinity)
                .softmax(-1).matmul(inputs.Value[row].to(float64));
            Assert.InRange((attended[row] - expected).abs().max().item<double>(), 0, tolerance);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1e-10)]
    [InlineData(ScalarType.Float32, 2e-3)]
    public void Queries_that_have_no_other_words_read_these(ScalarType dtype, double tolerance)
    {
        // Every word that is not padding belongs to the subject.
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        int[] all = [0, 1, 2, 3, 4, 5];
        using var story = new StoryAttention(new(), [new("fox", [all]) { Regions = [Left()] }], 1, guidance: false);
        var padding = zeros([1, 1, 1, Text], dtype);
        padding[.., .., .., 6..] = -10000;
        var inputs = Inputs(1, dtype) with { Mask = padding };
        var attended = story.Attend(Cross, inputs, new() { Steps = 2 });
        var error = (attended - PlainAttention.Instance.Attend(Cross, inputs, new())).abs().max().to(float64);
        Assert.InRange(error.item<double>(), 0, tolerance);
    }

    [Fact]
    public void Placement_keeps_to_its_steps_and_layers()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new StoryAttentionOptions { Placement = new() { Until = 0.5, Layers = "*.attn2" } };
        using var story = new StoryAttention(options, [new("fox", [Words]) { Regions = [Left()] }], 1, guidance: false);
        var inputs = Inputs(1, ScalarType.Float32);
        var plain = PlainAttention.Instance.Attend(Cross, inputs, new());
        Assert.Equal([false, false, true, true], Enumerable.Range(0, 4).Select(step =>
            story.Attend(Cross with { Path = $"step{step}.attn2" }, inputs, At(step)).SameBitsAs(plain)));
        TensorAssert.SameBits(plain, story.Attend(Cross with { Path = "other" }, inputs, At(0)));

        AttentionContext At(int step)
        {
            story.CompleteStep();
            return new() { Step = step, Steps = 4 };
        }
    }

    [Theory]
    [InlineData(AttentionKind.Cross)]
    [InlineData(AttentionKind.Joint)]
    public void A_scene_has_the_same_bits_beside_a_placed_one_and_beside_none(AttentionKind kind)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (placed, plain) = (Attend(0, 1), Attend(0, 2));
        foreach (var together in new[] { Attend(0, 1, 2), Attend(0, 2, 1), Attend(0, 3, 1, 2) })
        {
            TensorAssert.SameBits(placed[0], together[0]);
            TensorAssert.SameBits(placed[1], together[1]);
            TensorAssert.SameBits(plain[2], together[2]);
        }

        // Scene 0 is the anchor; the odd ones have a region.
        Dictionary<int, Tensor> Attend(params int[] scenes)
        {
            using var story = new StoryAttention(
                new() { Harmonization = new() { Steps = StepRange.All }, Layout = new() { Until = 0 } },
                [
                    new("fox", [.. scenes.Select(_ => Words)])
                    {
                        Masks = [.. scenes.Select(scene => Left().roll(scene, 1))],
                        Regions = [.. scenes.Select(scene => scene % 2 == 1 ? Left().roll(2 * scene, 1) : null)],
                    },
                ],
                scenes.Length,
                guidance: true)
            {
                Reads = (_, other) => other == 0,
            };
            int[] rows = [.. scenes.Select(scene => 2 * scene), .. scenes.Select(scene => (2 * scene) + 1)];
            var inputs = Inputs(rows, ScalarType.Float32, kind);
            var attended = story.Attend(Cross with { Kind = kind }, inputs, new() { Steps = 4 }).unflatten(0, [2, scenes.Length]);
            return scenes.Index().ToDictionary(scene => scene.Item, scene => attended.select(1, scene.Index));
        }
    }

    [Fact]
    public void A_region_is_the_mask_until_one_is_found()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(
            new() { Layout = new() { Until = 0 } }, [new("fox", [Words, Words]) { Regions = [Left(), Left()] }], 2, guidance: false);
        using var given = new StoryAttention(
            new() { Layout = new() { Until = 0 } }, [new("fox", [[], []]) { Masks = [Left(), Left()] }], 2, guidance: false);
        TensorAssert.SameBits(Left(), story.MaskOf(0)!);
        var inputs = Inputs([0, 1], ScalarType.Float32, AttentionKind.Self);
        var self = Cross with { Kind = AttentionKind.Self };
        var shared = story.Attend(self, inputs, new() { Steps = 4 });
        Assert.False(PlainAttention.Instance.Attend(self, inputs, new()).SameBitsAs(shared));
        TensorAssert.SameBits(given.Attend(self, inputs, new() { Steps = 4 }), shared);

        story.Attend(Cross, Inputs(2, ScalarType.Float32), new() { Steps = 4 });
        story.CompleteStep();

        // The words are not read outside the region, so that the map is 0 there.
        Assert.Equal(0, story.MapOf(0)!.masked_select(Left().logical_not()).max().item<float>());
    }

    [Fact]
    public void A_grid_too_coarse_for_a_region_is_not_placed()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var region = zeros([40, 60], ScalarType.Bool);
        region[1, 1] = true;
        using var story = new StoryAttention(new(), [new("fox", [Words]) { Regions = [region] }], 1, guidance: false);
        var inputs = Inputs(1, ScalarType.Float32);
        TensorAssert.SameBits(
            PlainAttention.Instance.Attend(Cross, inputs, new()), story.Attend(Cross, inputs, new() { Steps = 4 }));
    }

    [Fact]
    public void Regions_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        Refused("regions for 1", new StorySubject("fox", [Words, Words]) { Regions = [null] });
        Refused("A region of the subject 'fox' has shape (4)", new StorySubject("fox", [Words, Words]) { Regions = [ones(4), null] });
        Refused("no token position", new StorySubject("fox", [Words, []]) { Regions = [null, Left()] });

        static void Refused(string part, StorySubject subject) => Assert.Contains(
            part,
            Assert.Throws<ArgumentException>(() => new StoryAttention(new(), [subject], 2, guidance: false)).Message,
            StringComparison.Ordinal);
    }

    private static AttentionLayer Cross => new("attn2", AttentionKind.Cross, Heads, Width);

    private static Tensor Left()
    {
        var region = zeros([Grid.Height, Grid.Width], ScalarType.Bool);
        region[.., ..3] = true;
        return region;
    }

    private static AttentionInputs Inputs(int rows, ScalarType dtype) =>
        Inputs([.. Enumerable.Range(0, rows)], dtype, AttentionKind.Cross);

    /// <summary>A row's numbers follow from its own number.</summary>
    private static AttentionInputs Inputs(int[] rows, ScalarType dtype, AttentionKind kind)
    {
        var (image, text) = (Grid.Tokens, kind == AttentionKind.Self ? 0 : Text);
        var (queries, keys) = kind switch
        {
            AttentionKind.Cross => (image, text),
            AttentionKind.Joint => (text + image, text + image),
            _ => (image, image),
        };
        return new(Tokens(queries, 1), Tokens(keys, 2), Tokens(keys, 3), Grid, text);

        Tensor Tokens(int count, int kind) => stack([.. rows.Select(row =>
            randn([Heads, count, Width], generator: new Generator((ulong)((row * 4) + kind))))]).to(dtype);
    }
}
