using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

/// <summary>Images that read kept ones and each other, where tokens are gathered, against the definitions: token by token, in
/// float64.</summary>
public class KeptImagesTests
{
    private const int Kept = 2;
    private const int Images = 3;
    private const int Tokens = 6;
    private const int Repeats = 2;
    private const int Width = 4;
    private const int Heads = 2;

    // A row before the images, and one after them in each repeat.
    private static readonly ImageRows Rows = new(Repeats, Stride: Images + 1, First: 1);

    // Other numbers of tokens in every image, and another order of those that are kept than that of their subjects.
    private static readonly long[][] Labels =
        [[0, 1, 2, 0, 1, 0], [2, 0, 0, 0, 1, 2], [1, 1, 0, 2, 0, 1], [0, 0, 1, 2, 2, 0], [1, 0, 0, 1, 0, 2]];

    private static readonly int[][][] Positions = [[[1, 4], [2]], [[4], [0, 5]]];

    private static int AllRows => (int)(Rows.First + (Rows.Repeats * Rows.Stride));

    // Who reads whom among the images of the batch, from 0: the last is read by none.
    public static TheoryData<string, (int Image, int Other)[]> Cases() => new()
    {
        { "the kept ones alone", [] },
        { "one other", [(0, 1)] },
        { "each other", [(0, 1), (1, 0), (2, 0)] },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tokens_blend_with_those_of_kept_images_and_of_others(string name, (int Image, int Other)[] others)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        using var subjects = Subjects(others);
        var hidden = randn([AllRows, Tokens, Width], float64, generator: random);
        Tensor[] kept = [.. Enumerable.Range(0, Repeats).Select(_ => randn([6, Width], float64, generator: random))];
        var (alpha, threshold, temperature) = (0.6, -0.2, 0.3);
        var expected = hidden.clone();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            for (var image = Kept; image < Kept + Images; image++)
            {
                foreach (var subject in (int[])[0, 1])
                {
                    foreach (var token in Where(image, subject))
                    {
                        Blend(repeat, image, subject, token);
                    }
                }
            }
        }

        var actual = hidden.clone();
        Harmonization.Blend(actual, actual, subjects, [0, 1], Rows, alpha, threshold, temperature, kept);
        TensorAssert.Close(expected, actual, relative: 0, absolute: 1e-12);
        Assert.False(hidden.SameBitsAs(actual), name);

        void Blend(int repeat, int image, int subject, int token)
        {
            var own = At(repeat, image, token);
            List<(double Similarity, Tensor Match)> found = [.. from other in Enumerable.Range(0, Kept + Images)
                where Reads(image, other, others)
                let best = Where(other, subject).Select(at => At(repeat, other, at)).MaxBy(at => Cosine(own, at))
                where Cosine(own, best) > threshold
                select (Cosine(own, best), best)];
            if (found.Count > 0)
            {
                var sum = found.Sum(one => Math.Exp(one.Similarity / temperature));
                expected[Rows.Of(repeat, image - Kept), token] = (own * (1 - alpha)) + found
                    .Select(one => one.Match * (alpha * Math.Exp(one.Similarity / temperature) / sum)).Aggregate((a, b) => a + b);
            }
        }

        Tensor At(int repeat, int image, int token) =>
            image < Kept ? kept[repeat][RowOf(image, token)] : hidden[Rows.Of(repeat, image - Kept), token];

        static double Cosine(Tensor a, Tensor b) => ((a * b).sum() / (a.norm() * b.norm())).item<double>();
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Queries_read_their_own_image_kept_ones_and_others(string name, (int Image, int Other)[] others)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(6);
        using var subjects = Subjects(others);
        var (query, key) = (Draw(AllRows, Heads, Tokens, Width), Draw(AllRows, Heads, Tokens, Width));
        var value = Draw(AllRows, Heads, Tokens, 3);
        KeptKeys[] halves = [.. Enumerable.Range(0, Repeats).Select(_ => new KeptKeys([], Draw(6, Heads, Width), Draw(6, Heads, 3), null))];
        var sharing = new Sharing(0.7, Background: false);
        var attended = Draw(AllRows, Heads, Tokens, 3);
        var expected = attended.clone();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            for (var image = Kept; image < Kept + Images; image++)
            {
                foreach (var subject in (int[])[0, 1])
                {
                    foreach (var token in Where(image, subject))
                    {
                        Answer(repeat, image, subject, token);
                    }
                }
            }
        }

        var actual = SharedAttention.Overwrite(
            attended, query, key, value, subjects, Rows, sharing, dropout: 0, _ => "", rotary: null, new KeptAnchors(halves, subjects));
        TensorAssert.Close(expected, actual, relative: 0, absolute: 1e-12);
        Assert.True(subjects.Readings(sharing).Count > 0, name);

        void Answer(int repeat, int image, int subject, int token)
        {
            var row = Rows.Of(repeat, image - Kept);
            for (var head = 0; head < Heads; head++)
            {
                List<(Tensor Key, Tensor Value, double Bias)> read =
                [
                    .. Enumerable.Range(0, Tokens).Select(at => (key[row, head, at], value[row, head, at], 0.0)),
                    .. from other in Enumerable.Range(0, Kept + Images)
                       where Reads(image, other, others)
                       from at in Where(other, subject)
                       select other < Kept
                           ? (halves[repeat].Key[RowOf(other, at), head], halves[repeat].Value[RowOf(other, at), head], Math.Log(0.7))
                           : (key[Rows.Of(repeat, other - Kept), head, at], value[Rows.Of(repeat, other - Kept), head, at], Math.Log(0.7)),
                ];
                var weights = read.Select(one =>
                    Math.Exp(((query[row, head, token] * one.Key).sum().item<double>() / Math.Sqrt(Width)) + one.Bias)).ToList();
                expected[row, head, token] = read.Zip(weights, (one, weight) => one.Value * (weight / weights.Sum()))
                    .Aggregate((a, b) => a + b);
            }
        }

        Tensor Draw(params long[] shape) => randn(shape, float64, generator: random);
    }

    private static SubjectTokens Subjects((int Image, int Other)[] others) => new(
        Labels, 2, null, textTokens: 0, CPU, (image, other) => Reads(image, other, others), kept: new KeptRows(Positions, 0, Tokens));

    private static bool Reads(int image, int other, (int Image, int Other)[] others) =>
        image >= Kept && (other < Kept || others.Contains((image - Kept, other - Kept)));

    private static IEnumerable<int> Where(int image, int subject) =>
        Enumerable.Range(0, Tokens).Where(token => Labels[image][token] == subject + 1);

    /// <summary>Where a kept image's token is among all that are kept: image by image, subject by subject.</summary>
    private static int RowOf(int image, int token) =>
        Positions.SelectMany((ofImage, i) => ofImage.SelectMany(ofSubject => ofSubject).Select(at => (i, at))).ToList()
            .IndexOf((image, token));
}
