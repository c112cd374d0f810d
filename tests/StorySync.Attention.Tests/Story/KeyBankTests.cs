using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>Scenes that read kept tokens of anchors get what they get with the anchors in their batch.</summary>
public class KeyBankTests
{
    private const int Anchors = 2;
    private const int Heads = 2;
    private const int Width = 8;
    private const int Text = 5;
    private static readonly TokenGrid Grid = new(6, 7);

    public enum Form
    {
        /// <summary>The kernel reads cross-image tokens where they lie.</summary>
        Self,

        /// <summary>As in FLUX, after text tokens, and with a region of the subject.</summary>
        Joint,

        /// <summary>Channels that lie apart: cross-image tokens are gathered.</summary>
        Gathered,

        /// <summary>As in FLUX, cross-image keys moved to the places of their likes.</summary>
        Moved,

        /// <summary>Double precision, which no kernel takes.</summary>
        Double,
    }

    // The kernel sums in the same order in both runs. Where libtorch attends to what is gathered, it may sum in another.
    [Theory]
    [InlineData(Form.Self, true, 0, 0)]
    [InlineData(Form.Self, false, 0.3, 0)]
    [InlineData(Form.Joint, true, 0.3, 0)]
    [InlineData(Form.Gathered, false, 0, 5e-6)]
    [InlineData(Form.Moved, true, 0.3, 5e-6)]
    [InlineData(Form.Double, false, 0.3, 1e-12)]
    public void Kept_keys_give_what_anchors_in_the_batch_give(Form form, bool subjectQueriesOnly, double dropout, double tolerance)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var options = new StoryAttentionOptions
        {
            Sharing = new()
            {
                Strength = 0.8, SubjectQueriesOnly = subjectQueriesOnly, Dropout = dropout, MatchPositions = form == Form.Moved,
            },
            Harmonization = new() { Threshold = -1, Steps = StepRange.All },
            Layout = new() { Until = 0.5 },
        };
        foreach (var (step, split) in new[] { (0, false), (0, true), (3, false) })
        {
            var bank = new Bank();
            Attend(form, options, step, split, [0, 1], recorder: bank);
            Assert.Equal(2, bank.Count);
            foreach (var scenes in new int[][] { [5], [6, 5] })
            {
                var expected = Attend(form, options, step, split, [0, 1, .. scenes]);
                var actual = Attend(form, options, step, split, scenes, keys: bank);
                var without = Attend(form, options, step, split, scenes, keys: new Bank());
                foreach (var scene in scenes)
                {
                    Assert.False(actual[scene].allclose(without[scene]));
                    if (tolerance == 0)
                    {
                        TensorAssert.SameBits(expected[scene], actual[scene]);
                    }

                    Assert.InRange((expected[scene] - actual[scene]).abs().max().to(float64).item<double>(), 0, tolerance);
                }
            }
        }
    }

    [Fact]
    public void What_is_kept_are_the_subjects_tokens()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var bank = new Bank();
        Attend(Form.Joint, new() { Layout = new() { Until = 0 } }, 0, false, [0, 1], recorder: bank);
        var kept = bank.Read(new(0, "layer", GuidanceBranch.Conditional))!;
        var positions = Enumerable.Range(0, Anchors).Select(anchor => Mask(anchor).flatten().nonzero().flatten().data<long>().ToArray());
        Assert.Equal(
            positions.Select(ofAnchor => ofAnchor.Select(position => (int)position)), kept.Positions.Select(ofAnchor => ofAnchor.Single()));

        // The rows: anchors' negative half, positive half; text first.
        var inputs = Inputs(Form.Joint, [0, 1], branches: 1);
        var expected = cat([.. positions.Select((ofAnchor, anchor) =>
            inputs.Key[Anchors + anchor].transpose(0, 1).index_select(0, tensor(ofAnchor) + Text))]);
        TensorAssert.SameBits(expected, kept.Key);

        // Nothing is harmonized in the first fifth of the steps.
        Assert.Null(kept.Output);
    }

    private static Dictionary<int, Tensor> Attend(
        Form form, StoryAttentionOptions options, int step, bool split, int[] scenes, Bank? recorder = null, Bank? keys = null)
    {
        var isJoint = form is Form.Joint or Form.Moved;
        using var story = new StoryAttention(
            options,
            [
                new("fox", [.. scenes.Select(_ => isJoint ? new[] { 1, 2 } : [])])
                {
                    Masks = [.. scenes.Select(Mask)],
                    Regions = form == Form.Joint ? [.. scenes.Select(scene => scene == 5 ? Mask(9) : null)] : null,
                },
            ],
            scenes.Length,
            guidance: true)
        {
            Reads = keys is null ? (_, other) => other < Anchors : (_, _) => false,
            Seeds = [.. scenes.Select(scene => 100L + scene)],
            Recorder = recorder,
            Keys = keys,
        };
        var layer = new AttentionLayer("layer", isJoint ? AttentionKind.Joint : AttentionKind.Self, Heads, Width);

        // With kept anchors a single scene has an unmodified branch, too.
        var batch = story.BatchAt(step, 4);
        Assert.Equal(step < options.Layout!.Until * 4, batch.HasBase);
        var inputs = Inputs(form, scenes, batch.HasBase ? 2 : 1);
        var attended = split
            ? cat([.. Enum.GetValues<GuidanceBranch>().Select(half => story.Attend(
                layer, Half(inputs, half), new() { Step = step, Steps = 4, Branch = half }))])
            : story.Attend(layer, inputs, new() { Step = step, Steps = 4 });
        var modified = batch.Modified(attended).unflatten(0, [2, scenes.Length]);
        return scenes.Index().ToDictionary(scene => scene.Item, scene => modified.select(1, scene.Index));
    }

    private static AttentionInputs Half(AttentionInputs inputs, GuidanceBranch half)
    {
        return inputs with { Query = Of(inputs.Query), Key = Of(inputs.Key), Value = Of(inputs.Value) };

        Tensor Of(Tensor rows) => rows.chunk(2, dim: 0)[half == GuidanceBranch.Unconditional ? 0 : 1];
    }

    /// <summary>Rows that are the same for a scene in whatever batch it is.</summary>
    private static AttentionInputs Inputs(Form form, int[] scenes, int branches)
    {
        var text = form is Form.Joint or Form.Moved ? Text : 0;
        var turns = linspace(0, 3, text + Grid.Tokens).unsqueeze(1) * ones(1, Width);
        return new(Tokens(1), Tokens(2), Tokens(3), Grid, text)
        {
            Rotary = form == Form.Moved ? new RotaryEmbedding(turns.cos(), turns.sin()) : null,
        };

        Tensor Tokens(int kind)
        {
            var rows = stack([.. Enumerable.Range(0, 2 * branches).SelectMany(part => scenes.Select(scene => randn(
                [Heads, text + Grid.Tokens, Width], generator: new Generator((ulong)((((scene * 4) + part) * 4) + kind)))))]);
            return form == Form.Double ? rows.to(float64)
                : form == Form.Gathered ? rows.transpose(2, 3).contiguous().transpose(2, 3) : rows;
        }
    }

    private static Tensor Mask(int scene) =>
        rand([Grid.Height, Grid.Width], generator: new Generator((ulong)(50 + scene))) < 0.2 + (0.05 * scene);

    private sealed class Bank : IKeyBank
    {
        private readonly Dictionary<KeyAddress, KeptKeys> kept = [];

        public int Count => kept.Count;

        public void Write(KeyAddress address, KeptKeys keys) => kept.Add(address, keys with
        {
            Key = keys.Key.clone().DetachFromDisposeScope(),
            Value = keys.Value.clone().DetachFromDisposeScope(),
            Output = keys.Output?.clone().DetachFromDisposeScope(),
        });

        public KeptKeys? Read(KeyAddress address) => kept.GetValueOrDefault(address);
    }
}
