using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

public class HarmonizationTests
{
    [Fact]
    public void Only_tokens_of_one_subject_blend()
    {
        using var scope = NewDisposeScope();
        var labels = tensor(new long[] { 1, 1, 2, 2, 0, 0 }).repeat(3, 1);
        using var subjects = SubjectTokens.FromLabels(labels, 2);
        using var random = new Generator(2);
        var hidden = randn([6, 6, 5], ScalarType.Float64, generator: random);
        var before = Harmonization.Apply(hidden, subjects, threshold: -1);

        Assert.Equal([], ChangedElsewhere(token: 5));
        Assert.Equal([0L, 1], ChangedElsewhere(token: 0));
        Assert.Equal([2L, 3], ChangedElsewhere(token: 2));

        long[] ChangedElsewhere(int token)
        {
            var changed = hidden.clone();
            changed[1, token] *= -3;

            // So that the changed token is some other's match whatever the draw: nothing else of the subject is left in the image.
            changed[1, token ^ 1] = changed[1, token];
            var difference = Harmonization.Apply(changed, subjects, threshold: -1).ne(before).any(-1);
            Assert.False(difference[3..].any().item<bool>(), "the other guidance half changed");
            difference[1] = false;
            return [.. difference.any(0).nonzero().flatten().data<long>()];
        }
    }

    [Fact]
    public void Tokens_without_a_match_keep_their_bits()
    {
        using var scope = NewDisposeScope();

        // The first tokens of both images point the same way, the second ones stand upright on all others; the third are no subject's.
        using var subjects = SubjectTokens.FromMasks(tensor(new[] { true, true, false }).repeat(2, 1));
        var hidden = tensor(new float[] { 1, 0, 0, 0, 1, 0, 9, 9, 9, 2, 1, 0, 0, 0, 1, 9, 9, 9 }, [2, 3, 3]);

        var blended = Harmonization.Apply(hidden, subjects, threshold: 0.5);
        Assert.False(hidden[0, 0].SameBitsAs(blended[0, 0]));
        Assert.False(hidden[1, 0].SameBitsAs(blended[1, 0]));
        TensorAssert.SameBits(hidden.narrow(1, 1, 2), blended.narrow(1, 1, 2));
        TensorAssert.SameBits(hidden, Harmonization.Apply(hidden, subjects, alpha: 0, threshold: -1));
    }

    [Theory]
    [InlineData(ScalarType.Float16, 4e-3)]
    [InlineData(ScalarType.BFloat16, 4e-2)]
    public void Half_precision_finds_the_same_matches(ScalarType dtype, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(4);
        using var subjects = SubjectTokens.FromMasks(rand([3, 30], generator: random) < 0.5);
        var hidden = randn([3, 30, 8], generator: random).to_type(dtype);
        var half = Harmonization.Apply(hidden, subjects);
        Assert.Equal(dtype, half.dtype);
        Assert.True((half.@float() - Harmonization.Apply(hidden.@float(), subjects)).abs().max().item<float>() < tolerance);
        Assert.False(half.SameBitsAs(hidden));
    }

    [Theory]
    [InlineData(0.5, -1, 0.1)]
    [InlineData(0.8, 0.3, 0.01)]
    public void The_kernel_blends_as_the_operators_do_in_float64(double alpha, double threshold, double temperature)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        var labels = randint(0, 3, [4, 150], generator: random, dtype: ScalarType.Int64);
        using var subjects = SubjectTokens.FromLabels(labels, 2, (image, subject) => image != 2 || subject != 1);
        var (features, hidden) = (randn([8, 150, 9], generator: random), randn([8, 150, 21], generator: random));
        var expected = Blend(ScalarType.Float64);
        var blended = Blend(ScalarType.Float32);
        Assert.False(hidden.SameBitsAs(blended));
        Assert.InRange((blended - expected).abs().max().item<double>(), 0, 2e-5);

        Tensor Blend(ScalarType type) => Harmonization.Apply(features.to(type), subjects, hidden.to(type), alpha, threshold, temperature);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void An_image_that_reads_the_first_two_has_the_same_bits_beside_any_other(ScalarType features)
    {
        // Features in float64 are compared by libtorch's operators, as on a device.
        using var scope = NewDisposeScope();
        using var random = new Generator(7);
        var (hidden, masks) = (randn([6, 90, 16], generator: random), rand([6, 90], generator: random) < 0.5);
        var alone = Blend(0, 1, 2);
        Assert.False(hidden[2].SameBitsAs(alone[2]));
        TensorAssert.SameBits(alone, Blend(0, 1, 3, 4, 2, 5).index_select(0, tensor(new long[] { 0, 1, 4 })));
        TensorAssert.SameBits(alone, Blend(0, 1, 5, 2).index_select(0, tensor(new long[] { 0, 1, 3 })));

        Tensor Blend(params long[] images)
        {
            var chosen = tensor(images);
            using var subjects = SubjectTokens.FromMasks(masks.index_select(0, chosen), reads: (_, other) => other < 2);
            var rows = hidden.index_select(0, chosen);
            return Harmonization.Apply(rows.to(features), subjects, rows, threshold: -1);
        }
    }

    [Fact]
    public void An_image_that_reads_none_keeps_its_bits_and_is_read()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(8);
        using var subjects = SubjectTokens.FromMasks(ones([2, 20], ScalarType.Bool), reads: (image, _) => image == 1);
        var hidden = randn([2, 20, 5], generator: random);
        foreach (var features in new[] { hidden, hidden.to(float64) })
        {
            var blended = Harmonization.Apply(features, subjects, hidden, threshold: -1);
            TensorAssert.SameBits(hidden[0], blended[0]);
            Assert.False(hidden[1].SameBitsAs(blended[1]));
        }
    }

    [Fact]
    public void Blocks_of_rows_give_what_the_whole_gives()
    {
        // 3,000 tokens each: their similarities do not fit in one block.
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 3000], ScalarType.Bool));
        using var random = new Generator(6);
        var hidden = randn([2, 3000, 6], ScalarType.Float64, generator: random);
        var unit = hidden / hidden.norm(-1, keepdim: true);
        var best = unit[0].matmul(unit[1].t()).argmax(1);
        var expected = (hidden[0] + hidden[1].index_select(0, best)) / 2;
        Assert.True(Harmonization.Apply(hidden, subjects, threshold: -1)[0].allclose(expected));
    }
}
