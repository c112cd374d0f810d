using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>Masks found from attention, against softmax over all text tokens written out.</summary>
public class SubjectMapTests
{
    private const int Scenes = 2;
    private const int Text = 7;
    private const int Heads = 3;
    private const int Width = 4;
    private static readonly TokenGrid Coarse = new(3, 4);
    private static readonly TokenGrid Fine = new(6, 8);
    private static readonly StorySubject Fox = new("fox", [[1, 2], [4]]);
    private static readonly StorySubject Owl = new("owl", [[5], []]);

    [Theory]
    [InlineData(AttentionKind.Cross, false)]
    [InlineData(AttentionKind.Cross, true)]
    [InlineData(AttentionKind.Joint, false)]
    public void Maps_are_the_decayed_mean_of_the_scaled_probabilities_on_the_finest_grid(AttentionKind kind, bool padded)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        using var story = new StoryAttention(new() { Masks = new() { Decay = 0.6 } }, [Fox, Owl], Scenes, guidance: true);
        var sum = zeros([Scenes, 2, Fine.Height, Fine.Width]);
        for (var step = 0; step < 4; step++)
        {
            var batch = story.BatchAt(step, 4);
            var maps = new List<Tensor>();
            foreach (var grid in new[] { Fine, Coarse, Fine, Fine })
            {
                var inputs = Inputs(kind, grid, batch, random);
                if (padded)
                {
                    inputs =
                        inputs with { Mask = where(rand([batch.Rows, 1, 1, Text], generator: random) < 0.7, tensor(0f), tensor(-10000f)) };
                }

                story.Attend(Layer(kind), inputs, new() { Step = step, Steps = 4 });
                if (grid == Fine)
                {
                    maps.Add(SubjectMask.Scale(Naive(inputs, batch, kind)));
                }
            }

            story.CompleteStep();
            sum = (sum * 0.6) + stack(maps).mean([0]);
            var scaled = SubjectMask.Scale(sum);
            var masks = SubjectMask.Exclusive(scaled, SubjectMask.Threshold(scaled));
            for (var scene = 0; scene < Scenes; scene++)
            {
                for (var subject = 0; subject < 2; subject++)
                {
                    var error = (story.MapOf(scene, subject)! - scaled[scene, subject]).abs().max().item<float>();
                    Assert.True(error < 1e-5, $"off by {error}");
                    TensorAssert.SameBits(masks[scene, subject], story.MaskOf(scene, subject)!);
                }
            }

            Assert.True(story.MaskOf(0)!.any().item<bool>());
            Assert.False(story.MaskOf(1, 1)!.any().item<bool>(), "the owl is absent from scene 1");
        }
    }

    [Theory]
    [InlineData(GuidanceBranch.Unconditional, false)]
    [InlineData(GuidanceBranch.Conditional, true)]
    public void Of_guidance_halves_by_themselves_the_positive_shows_the_subject(GuidanceBranch half, bool found)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        using var story = new StoryAttention(new(), [Fox], Scenes, guidance: true);
        var inputs = Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4) with { Guidance = false }, random);
        story.Attend(Layer(AttentionKind.Cross), inputs, new() { Steps = 4, Branch = half });
        story.CompleteStep();
        Assert.Equal(found, story.MaskOf(0) is not null);
    }

    [Fact]
    public void Cross_attention_itself_stays_plain()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [Fox, Owl], Scenes, guidance: false);
        var inputs = Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5));
        var attended = story.Attend(Layer(AttentionKind.Cross), inputs, new() { Steps = 4 });
        TensorAssert.SameBits(PlainAttention.Instance.Attend(Layer(AttentionKind.Cross), inputs, new()), attended);
    }

    [Fact]
    public void Masks_are_used_from_the_step_after_on()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new() { Layout = new() { Until = 0 } }, [Fox], Scenes, guidance: false);
        using var random = new Generator(5);
        var image = Self(story, random);
        Assert.Null(story.MaskOf(0));

        story.Attend(Layer(AttentionKind.Cross), Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), random), new() { Steps = 4 });
        Assert.True(IsPlain(0));
        story.CompleteStep();
        Assert.False(IsPlain(1));

        bool IsPlain(int step) => PlainAttention.Instance.Attend(Layer(AttentionKind.Self), image, new())
            .SameBitsAs(story.Attend(Layer(AttentionKind.Self), image, new() { Step = step, Steps = 4 }));
    }

    [Fact]
    public void The_first_mask_can_be_ready_within_the_first_step()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new() { Masks = new() { ReadyAfterLayers = 2 } }, [Fox], Scenes, guidance: false);
        using var random = new Generator(5);
        for (var layer = 0; layer < 2; layer++)
        {
            Assert.Null(story.MaskOf(0));
            story.Attend(Layer(AttentionKind.Joint), Inputs(AttentionKind.Joint, Fine, story.BatchAt(0, 4), random), new() { Steps = 4 });
        }

        Assert.NotNull(story.MaskOf(0));
    }

    [Theory]
    [InlineData(4, 3, 4)]
    [InlineData(8, 6, 8)]
    [InlineData(2, 3, 4)]
    public void Layers_on_the_finest_grid_that_is_small_enough_count(int maxGrid, int height, int width)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new() { Masks = new() { MaxGrid = maxGrid } }, [Fox], Scenes, guidance: false);
        using var random = new Generator(5);
        for (var step = 0; step < 2; step++)
        {
            foreach (var grid in new[] { Fine, Coarse })
            {
                story.Attend(
                    Layer(AttentionKind.Cross), Inputs(AttentionKind.Cross, grid, story.BatchAt(step, 4), random),
                        new() { Step = step, Steps = 4 });
            }

            story.CompleteStep();
            Assert.Equal([height, width], story.MaskOf(0)!.shape);
        }
    }

    [Fact]
    public void Attention_that_is_not_over_the_image_s_tokens_is_passed_by()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [Fox], Scenes, guidance: false);
        var inputs = Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5));
        story.Attend(Layer(AttentionKind.Cross), inputs with { Query = inputs.Query.narrow(2, 0, 1) }, new() { Steps = 4 });
        story.CompleteStep();
        Assert.Null(story.MaskOf(0));
    }

    [Fact]
    public void A_subject_beyond_the_text_is_refused()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [new("fox", [[1], [Text]])], Scenes, guidance: false);
        var inputs = Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5));
        var error = Assert.Throws<ArgumentException>(() => story.Attend(Layer(AttentionKind.Cross), inputs, new() { Steps = 4 }));
        Assert.Contains("token 7 in scene 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_that_was_not_completed_is_noticed()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new() { Layout = new() { Until = 0 } }, [Fox], Scenes, guidance: false);
        var inputs = Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5));
        story.Attend(Layer(AttentionKind.Cross), inputs, new() { Step = 0, Steps = 4 });
        Assert.Throws<InvalidOperationException>(() => story.Attend(Layer(AttentionKind.Cross), inputs, new() { Step = 1, Steps = 4 }));
    }

    [Fact]
    public void A_given_mask_takes_the_place_of_a_found_one()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var given = zeros(5, 5);
        given[1..3, 2] = 1;
        using var story = new StoryAttention(new(), [Fox with { Masks = [null, given] }], Scenes, guidance: false);
        TensorAssert.SameBits(given.ne(0), story.MaskOf(1)!);
        story.Attend(
            Layer(AttentionKind.Cross), Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5)), new() { Steps = 4 });
        story.CompleteStep();
        TensorAssert.SameBits(given.ne(0), story.MaskOf(1)!);
        Assert.Equal([Fine.Height, Fine.Width], story.MaskOf(0)!.shape);
    }

    [Fact]
    public void Found_masks_are_repaired_when_asked()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (raw, repaired) = (Mask(new()), Mask(new() { Components = 1 }));
        Assert.False(raw.SameBitsAs(repaired));
        TensorAssert.SameBits(MaskRepair.Apply(raw, components: 1), repaired);

        static Tensor Mask(MaskOptions options)
        {
            using var story = new StoryAttention(new() { Masks = options }, [Fox], Scenes, guidance: false);
            story.Attend(
                Layer(AttentionKind.Cross), Inputs(AttentionKind.Cross, Fine, story.BatchAt(0, 4), new Generator(5)), new() { Steps = 4 });
            story.CompleteStep();
            return story.MaskOf(0)!;
        }
    }

    internal static AttentionInputs Inputs(AttentionKind kind, TokenGrid grid, StoryBatch batch, Generator random)
    {
        var lead = kind == AttentionKind.Joint ? Text : 0;
        var keys = kind == AttentionKind.Joint ? Text + grid.Tokens : Text;
        return new(Tokens(lead + grid.Tokens), Tokens(keys), Tokens(keys), grid, Text);

        Tensor Tokens(long count) => randn([batch.Rows, Heads, count, Width], generator: random) * 2;
    }

    internal static AttentionInputs Self(StoryAttention story, Generator random)
    {
        return new(Tokens(), Tokens(), Tokens(), Fine);

        Tensor Tokens() => randn([story.BatchAt(3, 4).Rows, Heads, Fine.Tokens, Width], generator: random);
    }

    internal static AttentionLayer Layer(AttentionKind kind) => new($"{kind}", kind, Heads, Width);

    private static Tensor Naive(AttentionInputs inputs, StoryBatch batch, AttentionKind kind)
    {
        var lead = kind == AttentionKind.Joint ? Text : 0;
        var rows = Enumerable.Range(0, Scenes).Select(scene => (long)(batch.Rows - ((batch.HasBase ? 2 : 1) * Scenes) + scene)).ToArray();
        var maps = zeros([Scenes, 2, inputs.Grid.Height, inputs.Grid.Width]);
        for (var scene = 0; scene < Scenes; scene++)
        {
            var query = inputs.Query[rows[scene]][.., lead..];
            var key = inputs.Key[rows[scene]][.., ..Text];
            var logits = query.matmul(key.transpose(1, 2)) / Math.Sqrt(Width);
            var probabilities = (inputs.Mask is { } mask ? logits + mask[rows[scene]] : logits).softmax(-1);
            foreach (var (subject, index) in new[] { (Fox, 0), (Owl, 1) })
            {
                foreach (var token in subject.Tokens[scene])
                {
                    maps[scene, index] += (probabilities[.., .., token].mean([0]) / subject.Tokens[scene].Count)
                        .view(inputs.Grid.Height, inputs.Grid.Width);
                }
            }
        }

        return maps;
    }
}
