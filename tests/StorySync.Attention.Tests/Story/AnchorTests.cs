using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>Scenes that read the anchors and nothing else: what is computed for one depends on the anchors and on itself.</summary>
public class AnchorTests
{
    private const int Anchors = 2;
    private const int Heads = 2;
    private const int Width = 8;
    private static readonly TokenGrid Grid = new(6, 7);

    public enum Path
    {
        /// <summary>The kernel reads cross-image tokens where they lie.</summary>
        InPlace,

        /// <summary>Channels that lie apart: cross-image tokens are gathered.</summary>
        Gathered,

        /// <summary>Cross-image keys are moved to the places of their likes, one reader after the other.</summary>
        Moved,
    }

    [Theory]
    [InlineData(Path.InPlace, true, 0)]
    [InlineData(Path.InPlace, false, 0.3)]
    [InlineData(Path.Gathered, true, 0.3)]
    [InlineData(Path.Gathered, false, 0)]
    [InlineData(Path.Moved, true, 0.3)]
    public void A_scene_has_the_same_bits_in_every_batch(Path path, bool subjectQueriesOnly, double dropout)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new StoryAttentionOptions
        {
            Sharing = new()
            {
                Strength = 0.8, SubjectQueriesOnly = subjectQueriesOnly, Dropout = dropout, MatchPositions = path == Path.Moved,
            },
            Harmonization = new() { Threshold = -1, Steps = StepRange.All },
            Layout = new() { Until = 0.5 },
        };
        var plain = StoryAttentionOptions.Disabled with { Layout = options.Layout };
        foreach (var step in new[] { 0, 3 })
        {
            var (alone, rows) = (Attend(path, options, step, 5), Attend(path, plain, step, 5));
            Assert.False(rows[5].SameBitsAs(alone[5]));
            foreach (var scenes in new int[][] { [5, 6], [6, 5], [3, 7, 5, 4, 6], [6, 7, 4, 5] })
            {
                var together = Attend(path, options, step, scenes);
                TensorAssert.SameBits(alone[5], together[5]);
                for (var anchor = 0; anchor < Anchors; anchor++)
                {
                    TensorAssert.SameBits(alone[anchor], together[anchor]);
                }
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Scenes_read_the_anchors_subjects_and_nothing_else(int text)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        const int scenes = 4;
        var mask = zeros([Grid.Height, Grid.Width], ScalarType.Bool);
        mask[2] = true;
        using var story = new StoryAttention(
            new() { Harmonization = new() { Threshold = -1, Steps = StepRange.All }, Layout = new() { Until = 0 } },
            [new("fox", [[], [], [], []]) { Masks = [mask, mask, mask, mask] }],
            scenes,
            guidance: false)
        {
            Reads = (_, other) => other < Anchors,
        };
        var (subject, background) = (text + (2 * Grid.Width) + 3, text + 1);
        var inputs = new AttentionInputs(Tokens(1), Tokens(2), Tokens(3), Grid, text);
        var before = Attend(inputs);

        Assert.Equal([0L, 1, 2, 3], Changed(row: 0, subject));
        Assert.Equal([0L, 1, 2, 3], Changed(row: 1, subject));
        Assert.Equal([2L], Changed(row: 2, subject));
        Assert.Equal([3L], Changed(row: 3, subject));

        // By harmonization all rows follow the anchor's subject, which itself attends to the changed background.
        Assert.Equal([3L], Changed(row: 3, background));
        Assert.Equal(text > 0 ? [2L] : [], text > 0 ? Changed(row: 2, 0) : []);

        Tensor Attend(AttentionInputs call) => story.Attend(StoryAttentionTests.Layer(text), call, new() { Steps = 4 });

        Tensor Tokens(ulong seed) => randn([scenes, Heads, text + Grid.Tokens, 4], generator: new Generator(seed));

        long[] Changed(int row, int token)
        {
            var (key, value) = (inputs.Key.clone(), inputs.Value.clone());
            key[row, .., token] *= 1.5;
            value[row, .., token] *= -2;
            return [.. Attend(inputs with { Key = key, Value = value }).ne(before).flatten(1).any(1).nonzero().flatten().data<long>()];
        }
    }

    [Fact]
    public void A_token_outside_the_anchors_masks_changes_no_other_scene_by_sharing()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = StoryAttentionOptions.Disabled with { Sharing = new() { SubjectQueriesOnly = false } };
        var before = Attend(Path.InPlace, options, 0, [4, 5], change: null);
        var mask = Mask(0);
        for (var token = 0; token < Grid.Tokens; token++)
        {
            var inside = mask[token / Grid.Width, token % Grid.Width].item<bool>();
            var after = Attend(Path.InPlace, options, 0, [4, 5], change: (0, token));
            Assert.False(before[0].SameBitsAs(after[0]));
            Assert.Equal(inside, !before[1].SameBitsAs(after[1]));
            Assert.Equal(inside, !before[4].SameBitsAs(after[4]));
        }
    }

    [Fact]
    public void Set_masks_are_those_given_and_change_between_steps()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new StoryAttentionOptions { Harmonization = new() { Steps = StepRange.All }, Layout = new() { Until = 0 } };
        using var set = new StoryAttention(options, [new("fox", [[], [], []])], 3, guidance: true);
        var inputs = Inputs(Path.InPlace, [0, 1, 2], branches: 1, change: null);
        var plain = PlainAttention.Instance.Attend(Layer, inputs, new());
        TensorAssert.SameBits(plain, set.Attend(Layer, inputs, new() { Steps = 3 }));
        Assert.Null(set.MaskOf(1));

        foreach (var masks in new Tensor?[][] { [Mask(0), Mask(1), Mask(2)], [Mask(3), null, Mask(4)], [null, null, Mask(5)] })
        {
            using var given = new StoryAttention(options, [new("fox", [[], [], []]) { Masks = masks }], 3, guidance: true);
            for (var scene = 0; scene < 3; scene++)
            {
                using var copy = masks[scene]?.clone();
                set.SetMask(scene, 0, copy);
            }

            TensorAssert.SameBits(
                given.Attend(Layer, inputs, new() { Steps = 3 }), set.Attend(Layer, inputs, new() { Steps = 3 }));
            Assert.Equal(masks[0] is null, set.MaskOf(0) is null);
        }
    }

    [Fact]
    public void A_set_mask_stands_against_what_the_text_shows()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [new("fox", [[1], [1], []])], 3, guidance: false);
        using var mask = ones([2, 2], ScalarType.Bool);
        story.SetMask(0, 0, mask);
        story.SetMask(1, 0, null);
        var text = new AttentionInputs(Tokens(Grid.Tokens), Tokens(5), Tokens(5), Grid, 5);
        story.Attend(new("text", AttentionKind.Cross, Heads, Width), text, new() { Steps = 2 });
        story.CompleteStep();
        Assert.Equal([2L, 2], story.MaskOf(0)!.shape);
        Assert.Null(story.MaskOf(1));
        Assert.Equal([(long)Grid.Height, Grid.Width], story.MaskOf(2)!.shape);

        static Tensor Tokens(int count) => randn([6, Heads, count, Width], generator: new Generator(1));
    }

    [Fact]
    public void What_does_not_fit_the_story_is_refused()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [new("fox", [[], []])], 2, guidance: false);
        Assert.Throws<ArgumentOutOfRangeException>("scene", () => story.SetMask(2, 0, null));
        Assert.Throws<ArgumentOutOfRangeException>("subject", () => story.SetMask(0, 1, null));
        var shape = Assert.Throws<ArgumentException>("mask", () => story.SetMask(0, 0, ones(4)));
        Assert.Contains("(4)", shape.Message, StringComparison.Ordinal);
        var seeds = Assert.Throws<ArgumentException>(() => new StoryAttention(new(), [], 2, guidance: false) { Seeds = [1] });
        Assert.Contains("1 seeds, but 2 scenes", seeds.Message, StringComparison.Ordinal);
        using var counted = new StoryAttention(new(), [], 3, guidance: false, seed: 7);
        Assert.Equal([7L, 8, 9], counted.Seeds);
    }

    private static AttentionLayer Layer => new("layer", AttentionKind.Self, Heads, Width);

    /// <summary>Attends in a batch of the anchors and some scenes.</summary>
    /// <returns>The modified rows of each, both halves, by the anchor's or scene's number.</returns>
    private static Dictionary<int, Tensor> Attend(
        Path path, StoryAttentionOptions options, int step, int[] scenes, (int Scene, int Token)? change = null)
    {
        int[] all = [.. Enumerable.Range(0, Anchors), .. scenes];
        using var story = new StoryAttention(
            options,
            [new("fox", [.. all.Select(_ => Array.Empty<int>())]) { Masks = [.. all.Select(Mask)] }],
            all.Length,
            guidance: true)
        {
            Reads = (_, other) => other < Anchors,
            Seeds = [.. all.Select(scene => 100L + scene)],
        };
        var batch = story.BatchAt(step, 4);
        var inputs = Inputs(path, all, batch.HasBase ? 2 : 1, change);
        var modified = batch.Modified(story.Attend(Layer, inputs, new() { Step = step, Steps = 4 })).unflatten(0, [2, all.Length]);
        return all.Index().ToDictionary(scene => scene.Item, scene => modified.select(1, scene.Index));
    }

    private static Dictionary<int, Tensor> Attend(Path path, StoryAttentionOptions options, int step, params int[] scenes) =>
        Attend(path, options, step, scenes, change: null);

    /// <summary>Rows that are the same for a scene in whatever batch it is.</summary>
    private static AttentionInputs Inputs(Path path, int[] scenes, int branches, (int Scene, int Token)? change)
    {
        var turns = linspace(0, 3, Grid.Tokens).unsqueeze(1) * ones(1, Width);
        return new(Tokens(1, null), Tokens(2, change), Tokens(3, change), Grid)
        {
            Rotary = path == Path.Moved ? new RotaryEmbedding(turns.cos(), turns.sin()) : null,
        };

        Tensor Tokens(int kind, (int Scene, int Token)? change)
        {
            var rows = stack([.. Enumerable.Range(0, 2 * branches).SelectMany(part => scenes.Select(scene =>
            {
                var row = randn([Heads, Grid.Tokens, Width], generator: new Generator((ulong)((((scene * 4) + part) * 4) + kind)));
                if (change is { } one && one.Scene == scene)
                {
                    row[.., one.Token] *= 2;
                }

                return row;
            }))]);
            return path == Path.Gathered ? rows.transpose(2, 3).contiguous().transpose(2, 3) : rows;
        }
    }

    private static Tensor Mask(int scene) =>
        rand([Grid.Height, Grid.Width], generator: new Generator((ulong)(50 + scene))) < 0.2 + (0.1 * scene);
}
