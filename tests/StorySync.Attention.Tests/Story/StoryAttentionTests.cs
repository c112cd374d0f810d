using CsCheck;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

public class StoryAttentionTests
{
    private const int Scenes = 3;
    private const int Heads = 2;
    private const int Width = 4;
    private static readonly TokenGrid Grid = new(3, 4);

    private static readonly Func<int, int, bool>?[] Relations =
    [
        null,
        (_, other) => other == 0,
        (_, other) => other < 2,
        (scene, other) => other == scene - 1,
        (_, _) => false,
    ];

    private static readonly IReadOnlyList<string?>?[] Places =
        [null, ["wood", "wood", "wood"], ["wood", null, "wood"], ["wood", "sea", "wood"]];

    private static readonly Gen<Run> Runs = Gen.Select(
        Gen.Bool,
        Gen.Bool,
        Gen.Int[0, 9],
        Gen.ULong,
        Gen.OneOf(0.0, 0.15, 0.5, 0.8, 1),
        Gen.Select(Gen.Int[0, Relations.Length - 1], Gen.Int[0, Places.Length - 1], Gen.OneOf(0.0, 1.5, double.PositiveInfinity)),
        Gen.Select(Gen.OneOf(0.0, 0.6, 1, 2), Gen.Bool, Gen.OneOf(0.0, 0.5, 1), Gen.Double[-0.5, 0.9], Gen.OneOf(0.0, 0.4)),
        Gen.Select(Gen.OneOf(0.0, 0.7, 1), Gen.OneOf(0.0, 0.5), Gen.Bool),
        (joint, guidance, step, seed, density, scenes, o, place) => new Run(
            joint ? 5 : 0, guidance, step, seed, density, Relations[scenes.Item1], Places[scenes.Item2], new()
            {
                Sharing = new() { Strength = o.Item1, SubjectQueriesOnly = o.Item2, Steps = new(0, 0.7) },
                Harmonization = new() { Alpha = o.Item3, Threshold = o.Item4 },
                Layout = new() { Until = o.Item5 },
                Placement = new() { Strength = scenes.Item3 },
                Location = new() { Strength = place.Item1, Alpha = place.Item2 },
                NegativeHalf = place.Item3,
            }));

    [Fact]
    public void The_composition_equals_the_dense_definition() => Runs.Sample(AssertComposed, iter: 150, threads: 1);

    [Fact]
    public void The_composition_equals_the_definition_where_a_region_has_no_cell()
    {
        using var random = new Generator(187617781);
        using var scope = NewDisposeScope();
        Masks(0, random);
        Assert.Contains(0, Masks(0.5, random).flatten(2).sum(-1).data<long>().ToArray());
        AssertComposed(new(5, true, 0, 187617781, 0, null, null, new()
        {
            Harmonization = new() { Alpha = 0 }, Layout = new() { Until = 0.4 }, Placement = new() { Strength = 1.5 },
        }));
    }

    private static void AssertComposed(Run run)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(run.Seed);
        var masks = Masks(run.Density, random);
        var (first, second) = (masks[0], masks[1].logical_and(masks[0].logical_not()));
        var regions = Masks(0.5, random).data<bool>().ToArray();
        using var story = Placed(run, regions, first, second);
        var labels = (first.to_type(ScalarType.Int64) + (second.to_type(ScalarType.Int64) * 2)).flatten(1);

        var batch = story.BatchAt(run.Step, 10);
        var inputs = Inputs(batch, run.Text, random);
        var attended = story.Attend(Layer(run.Text), inputs, new() { Step = run.Step, Steps = 10 });

        var weight = LayoutInterpolation.Weight(run.Step, 10, 0.9, 0, run.Options.Layout!.Until!.Value);
        var naive = new NaiveStory(
            run.Options, labels, run.Text, weight, run.Step < 7, run.Options.Harmonization!.Alpha > 0 && run.Step is >= 2 and < 8)
        {
            Reads = run.Reads,
            Locations = run.Locations,
        };
        var alone = naive with { LayoutWeight = 0, Share = false, Harmonize = false, Locations = null };
        var halves = run.Guidance ? 2 : 1;
        for (var half = 0L; half < halves; half++)
        {
            // Words are in the positive half.
            var words = half == halves - 1 && run.Step < 5 ? Words : null as Func<int, int, int, double>;
            var reading = half == halves - 1 || run.Options.NegativeHalf != false
                ? naive
                : naive with { Share = false, Harmonize = false, Locations = null };
            AssertHalf(reading with { Words = words }, batch.Modified, half);
            if (batch.HasBase)
            {
                AssertHalf(alone with { Words = words }, batch.Unmodified, half);
            }
        }

        foreach (var half in run.Guidance ? Enum.GetValues<GuidanceBranch>() : [])
        {
            var context = new AttentionContext { Step = run.Step, Steps = 10, Branch = half };
            AssertClose(OfHalf(attended, half), story.Attend(Layer(run.Text), OfHalf(inputs, half), context));
        }

        void AssertHalf(NaiveStory expected, Func<Tensor, Tensor> rows, long half) => AssertClose(
            expected.Attend(
                Half(rows(inputs.Query), half), Half(rows(inputs.Key), half), Half(rows(inputs.Value), half),
                Half(batch.HasBase ? batch.Unmodified(inputs.Query) : rows(inputs.Query), half)),
            Half(rows(attended), half));

        // The first subject has two words and a region in every scene, the second one word and, in the first scene, no region.
        double Words(int scene, int query, int key)
        {
            var subject = key is 1 or 2 ? 0 : key == 4 && scene > 0 ? 1 : -1;
            var isOutside = query >= run.Text && subject >= 0 && key < run.Text
                && !regions[(((subject * Scenes) + scene) * Grid.Tokens) + query - run.Text];

            // A region without a cell places nothing.
            var region = regions.AsSpan(((Math.Max(subject, 0) * Scenes) + scene) * Grid.Tokens, Grid.Tokens);
            return isOutside && region.Contains(true) ? -run.Options.Placement!.Strength!.Value : 0;
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Only_a_subject_s_tokens_are_read_by_other_scenes(int text)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var options = StoryAttentionOptions.Disabled with { Sharing = new() };
        var first = zeros([Scenes, Grid.Height, Grid.Width], ScalarType.Bool);
        var second = first.clone();
        first[.., 0] = true;
        second[.., 2] = true;
        using var story = Story(options, guidance: true, first, second);
        var inputs = Inputs(story.BatchAt(0, 10), text, random);
        var before = Attend(inputs);

        var changedBackground = Changed(row: 1, token: text + Grid.Width + 1);
        Assert.Equal([1L], changedBackground.Scenes);
        Assert.Equal(text > 0 ? [1L] : [], text > 0 ? Changed(row: 1, token: 0).Scenes : []);

        var changedFirst = Changed(row: 1, token: text + 1);
        Assert.Equal([0L, 1, 2], changedFirst.Scenes);
        Assert.Equal(Enumerable.Range(text, Grid.Width).Select(t => (long)t), changedFirst.TokensElsewhere);

        var changedSecond = Changed(row: 1, token: text + (2 * Grid.Width) + 1);
        Assert.Equal(Enumerable.Range(text + (2 * Grid.Width), Grid.Width).Select(t => (long)t), changedSecond.TokensElsewhere);

        Tensor Attend(AttentionInputs call) => story.Attend(Layer(text), call, new() { Steps = 10 });

        (long[] Scenes, long[] TokensElsewhere) Changed(int row, int token)
        {
            var (key, value) = (inputs.Key.clone(), inputs.Value.clone());
            key[row, .., token] += 1;
            value[row, .., token] += 1;
            var difference = Attend(inputs with { Key = key, Value = value }).ne(before).any(1).any(-1);
            Assert.False(difference[Scenes..].any().item<bool>(), "the other guidance half changed");
            var modified = difference[..Scenes];
            var elsewhere = modified.clone();
            elsewhere[row] = false;
            return (Indices(modified.any(1)), Indices(elsewhere.any(0)));
        }
    }

    [Fact]
    public void Everything_off_hands_the_call_on_as_it_came()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var masks = Masks(0.5, random);
        using var story = Story(StoryAttentionOptions.Disabled, guidance: true, masks[0], masks[1]);
        var batch = story.BatchAt(0, 4);
        Assert.False(batch.HasBase);
        var inputs = Inputs(batch, 0, random);
        TensorAssert.SameBits(Plain(inputs), story.Attend(Layer(0), inputs, new() { Steps = 4 }));
    }

    [Fact]
    public void A_single_scene_is_handed_on_as_it_came()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var spy = new Spy();
        using var mask = ones([Grid.Height, Grid.Width], ScalarType.Bool);
        using var story = new StoryAttention(
            new() { Harmonization = new() { Steps = StepRange.All } }, [new("fox", [[]]) { Masks = [mask] }], scenes: 1, guidance: true,
                inner: spy);
        var batch = story.BatchAt(0, 4);
        Assert.Equal(2, batch.Rows);
        var inputs = Inputs(batch, 0, new Generator(1));
        var attended = story.Attend(Layer(0), inputs, new() { Steps = 4 });
        Assert.Same(spy.Result, attended);
        Assert.Same(inputs, spy.Inputs);
    }

    [Fact]
    public void Techniques_keep_to_their_layers()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var masks = Masks(0.5, random);
        var options = new StoryAttentionOptions
        {
            Sharing = new() { Layers = "other" },
            Harmonization = new() { Layers = "other", Steps = StepRange.All },
            Layout = new() { Layers = "other" },
        };
        using var story = Story(options, guidance: false, masks[0], masks[1]);
        var inputs = Inputs(story.BatchAt(0, 4), 0, random);
        TensorAssert.SameBits(Plain(inputs), story.Attend(Layer(0), inputs, new() { Steps = 4 }));
        Assert.False(Plain(inputs).SameBitsAs(story.Attend(Layer(0) with { Path = "other" }, inputs, new() { Steps = 4 })));
    }

    [Fact]
    public void The_base_runs_along_until_its_window_ends()
    {
        using var story = new StoryAttention(new(), [], Scenes, guidance: true);
        Assert.Equal([12, 12, 12, 6, 6], Enumerable.Range(0, 5).Select(step => story.BatchAt(step, 10).Rows));
    }

    [Fact]
    public void The_negative_half_is_there_until_guidance_ends()
    {
        using var story = new StoryAttention(new(), [], Scenes, guidance: true, guidanceEnd: 0.4);
        Assert.Equal([12, 12, 12, 6, 3], Enumerable.Range(0, 5).Select(step => story.BatchAt(step, 10).Rows));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StoryAttention(new(), [], Scenes, guidance: true, guidanceEnd: 1.1));
    }

    [Fact]
    public void A_wrong_batch_is_refused()
    {
        using var scope = NewDisposeScope();
        using var story = new StoryAttention(new(), [], Scenes, guidance: true);
        var inputs = Inputs(new(Scenes, false, false), 0, new Generator(1));
        var error = Assert.Throws<ArgumentException>(() => story.Attend(Layer(0), inputs, new() { Steps = 4 }));
        Assert.Contains("needs 12 rows", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Subjects_that_do_not_fit_the_story_are_refused()
    {
        using var scope = NewDisposeScope();
        Refused("token positions for 2 scenes", new StorySubject("fox", [[1], [1]]));
        Refused("masks for 1", new StorySubject("fox", [[1], [1], [1]]) { Masks = [null] });
        Refused("negative", new StorySubject("fox", [[1], [-1], [1]]));
        Refused("(4)", new StorySubject("fox", [[1], [1], [1]]) { Masks = [ones(4), null, null] });

        static void Refused(string part, StorySubject subject) => Assert.Contains(
            part,
            Assert.Throws<ArgumentException>(() => new StoryAttention(new(), [subject], Scenes, guidance: false)).Message,
            StringComparison.Ordinal);
    }

    internal static AttentionLayer Layer(int text) => new("layer", text > 0 ? AttentionKind.Joint : AttentionKind.Self, Heads, Width);

    private static StoryAttention Story(StoryAttentionOptions options, bool guidance, params Tensor[] masks)
    {
        int[][] none = [[], [], []];
        return new(
            options, [.. masks.Select((mask, subject) => new StorySubject($"subject {subject}", none) { Masks = mask.unbind() })], Scenes,
                guidance);
    }

    private static StoryAttention Placed(Run run, bool[] regions, Tensor first, Tensor second)
    {
        var all = tensor(regions).view(2, Scenes, Grid.Height, Grid.Width);
        var (of, other) = (all[0].unbind(), all[1].unbind());
        return new(
            run.Options,
            [
                new("fox", [[1, 2], [1, 2], [1, 2]]) { Masks = first.unbind(), Regions = of },
                new("owl", [[4], [4], [4]]) { Masks = second.unbind(), Regions = [null, other[1], other[2]] },
            ],
            Scenes,
            run.Guidance)
        {
            Reads = run.Reads,
            Locations = run.Locations,
        };
    }

    private static Tensor Masks(double density, Generator random) =>
        rand([2, Scenes, Grid.Height, Grid.Width], generator: random).lt(density);

    private static AttentionInputs Inputs(StoryBatch batch, int text, Generator random)
    {
        return new(Tokens(), Tokens(), Tokens(), Grid, text);

        Tensor Tokens() => randn([batch.Rows, Heads, text + Grid.Tokens, Width], ScalarType.Float64, generator: random);
    }

    private static Tensor Half(Tensor rows, long half) => rows.narrow(0, half * Scenes, Scenes);

    private static Tensor OfHalf(Tensor rows, GuidanceBranch half) => rows.chunk(2, dim: 0)[half == GuidanceBranch.Unconditional ? 0 : 1];

    private static AttentionInputs OfHalf(AttentionInputs inputs, GuidanceBranch half) => inputs with
    {
        Query = OfHalf(inputs.Query, half),
        Key = OfHalf(inputs.Key, half),
        Value = OfHalf(inputs.Value, half),
    };

    private static Tensor Plain(AttentionInputs inputs) =>
        nn.functional.scaled_dot_product_attention(inputs.Query, inputs.Key, inputs.Value);

    private static long[] Indices(Tensor flags) => [.. flags.nonzero().flatten().data<long>()];

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        var error = (expected - actual).abs().max().item<double>();
        Assert.True(error < 1e-11, $"off by {error}");
    }

    private sealed record Run(
        int Text, bool Guidance, int Step, ulong Seed, double Density, Func<int, int, bool>? Reads, IReadOnlyList<string?>? Locations,
        StoryAttentionOptions Options);

    private sealed class Spy : IAttentionProcessor
    {
        public AttentionInputs? Inputs { get; private set; }

        public Tensor? Result { get; private set; }

        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            Inputs = inputs;
            return Result = PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
