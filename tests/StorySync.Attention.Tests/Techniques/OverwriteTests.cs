using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

/// <summary>What sharing and placement overwrite where cross-image tokens are gathered, against the definition: one query after the other,
/// over the keys that it reads, in float64.</summary>
public class OverwriteTests
{
    private const int Heads = 2;
    private const int Images = 3;
    private const int Tokens = 5;
    private const int Keys = 7;
    private const int Width = 4;

    // A row before the images, and one after them in each repeat.
    private static readonly ImageRows Rows = new(Repeats: 2, Stride: Images + 1, First: 1);

    // By image: who reads, what of the other images as image · keys + key, how strongly, and which own keys are lowered.
    private static readonly Reading[] Readings =
    [
        new(0, [1, 3], [new(0, [Keys + 2], -0.5), new(1, [(2 * Keys) + 6, (2 * Keys) + 1], 0)], [1], []),
        new(0, [0], [], [], [new(2, -1.5), new(6, -0.25), new(2, -0.5)]),
        new(1, [0, 2, 4], [new(0, [3, 5], 0)], [0], [new(0, -2)]),
        new(2, [4], [new(1, [Keys + 4, 0, Keys + 1, 6], 0.75)], [2], []),
    ];

    // Readings that read as many tokens of the others, as strongly as their own, have no bias.
    private static readonly Reading[] Unbiased =
    [
        new(0, [1, 3], [new(0, [Keys + 2, Keys + 3], 0)], [1], []),
        new(1, [0, 4], [new(0, [3, 5], 0)], [0], []),
    ];

    private static int AllRows => (int)(Rows.First + (Rows.Repeats * Rows.Stride));

    public static TheoryData<bool, bool, bool, int> Cases() =>
    [
        .. from isBiased in (bool[])[true, false]
           from apart in (bool[])[true, false]
           from repeated in (bool[])[true, false]
           from masks in (int[])[0, 1, AllRows]
           select (isBiased, apart, repeated, masks),
    ];

    /// <param name="isBiased">Whether anything is added to logits.</param>
    /// <param name="apart">Whether every reading is a call of its own.</param>
    /// <param name="repeated">Whether the images are there twice.</param>
    /// <param name="masks">The rows of the keys' mask; 0 for none.</param>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Queries_read_their_own_image_and_what_they_are_told(bool isBiased, bool apart, bool repeated, int masks)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(11);
        var rows = repeated ? Rows : Rows.Only(1);
        var (query, key, value) = (Draw(Tokens, Width), Draw(Keys, Width), Draw(Keys, 3));
        var mask = masks == 0 ? null : -2 * rand([masks, 1, 1, Keys], float64, generator: random);
        var attended = Draw(Tokens, 3);
        var expected = attended.clone();
        var readings = isBiased ? Readings : Unbiased;
        foreach (var (repeat, reading) in Enumerable.Range(0, (int)rows.Repeats).SelectMany(_ => readings, (repeat, one) => (repeat, one)))
        {
            foreach (var token in reading.Queries)
            {
                Answer(repeat, reading, token);
            }
        }

        using var indices = SharingIndices.Of(readings, Tokens, Keys, rows, float64, CPU, apart);
        Assert.Equal((isBiased ? 2 : 1) * (apart ? 2 : 1), indices.Calls.Count);
        var actual = SharedAttention.Overwrite(attended, query, key, value, mask, rotary: null, indices);
        TensorAssert.Close(expected, actual, relative: 0, absolute: 1e-12);

        void Answer(int repeat, Reading reading, int token)
        {
            var own = rows.Of(repeat, reading.Image);
            List<(long Row, int Key, double Bias)> read = [.. Enumerable.Range(0, Keys).Select(at =>
                (own, at, reading.Words.Where(word => word.Token == at).Sum(word => word.Bias)))];
            read.AddRange(reading.CrossImage.SelectMany(part =>
                part.Tokens.Select(at => (rows.Of(repeat, at / Keys), at % Keys, part.Bias))));
            for (var head = 0; head < Heads; head++)
            {
                var weights = read.Select(one => Math.Exp(
                    ((query[own, head, token] * key[one.Row, head, one.Key]).sum().item<double>() / Math.Sqrt(Width)) + one.Bias
                        + (mask is null ? 0 : mask[masks == 1 ? 0 : one.Row, 0, 0, one.Key].item<double>()))).ToList();
                expected[own, head, token] = read.Zip(weights, (one, weight) => value[one.Row, head, one.Key] * (weight / weights.Sum()))
                    .Aggregate((sum, next) => sum + next);
            }
        }

        Tensor Draw(int tokens, int width) => randn([AllRows, Heads, tokens, width], float64, generator: random);
    }

    [Fact]
    public void A_call_without_bias_has_none_and_one_with_bias_is_aligned()
    {
        using var scope = NewDisposeScope();
        using var plain = SharingIndices.Of(Unbiased, Tokens, Keys, Rows, float64, CPU, apart: false);
        var call = Assert.Single(plain.Calls);
        Assert.Null(call.Bias);
        Assert.Equal(4, call.Groups);
        Assert.Equal([4L * 2], call.Queries.shape);
        Assert.Equal([4L * (Keys + 2)], call.Keys.shape);

        // The first reading of the call, of its image's first repeat: where its cross-image tokens are in their own sequences, and its own.
        Assert.Equal([2L, 3], call.CrossImage.data<long>().ToArray());
        Assert.Equal([1L], call.Own.data<long>().ToArray());

        using var biased = SharingIndices.Of(Readings[3..], Tokens, Keys, Rows, float64, CPU, apart: false);
        var one = Assert.Single(biased.Calls);
        Assert.Equal([2L, 1, 1, 16], one.Bias!.shape);
        double[] bias = [0, 0, 0, 0, 0, 0, 0, 0.75, 0.75, 0.75, 0.75, .. Enumerable.Repeat(double.NegativeInfinity, 5)];
        Assert.Equal([.. bias, .. bias], one.Bias.data<double>().ToArray());

        // Image 2 is row 3, in the second repeat row 7; padding is the row's first key.
        Assert.Equal([(3L * Tokens) + 4, (7 * Tokens) + 4], one.Queries.data<long>().ToArray());
        long[] keys = [21, 22, 23, 24, 25, 26, 27, 14 + 4, 7, 14 + 1, 7 + 6, 21, 21, 21, 21, 21];
        Assert.Equal([.. keys, .. keys.Select(at => at + (4 * Keys))], one.Keys.data<long>().ToArray());
    }

    [Fact]
    public void Readings_go_together_where_padding_costs_at_most_half_their_work()
    {
        using var scope = NewDisposeScope();

        // Work is queries · keys read. 4 · 8 and 2 · 8: together 2 · 4 · 8 = 64 of at most 1.5 · 48. With 1 · 8: 3 · 32 = 96 of at most 84.
        Assert.Equal([2L, 1], Groups(4, 2, 1));

        // 4 · 8 and 1 · 8: together 64 of at most 60.
        Assert.Equal([1L, 1], Groups(1, 4));

        // 3 · 8 and 1 · 8: together 48 of at most 48.
        Assert.Equal([2L], Groups(1, 3));
        Assert.Equal([3L], Groups(4, 4, 4));

        static IEnumerable<long> Groups(params int[] queries)
        {
            var readings = queries.Select((count, image) => new Reading(image, [.. Enumerable.Range(0, count)], [], [], [new(0, -1)]));
            using var indices = SharingIndices.Of([.. readings], 8, 8, new(1, 3), float64, CPU, apart: false);
            return indices.Calls.Select(call => call.Groups);
        }
    }
}
