using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

[Collection(typeof(AloneCollection))]
public class SharedAttentionTests
{
    [Fact]
    public void Dropout_takes_the_share_it_is_told()
    {
        using var scope = NewDisposeScope();

        // Equal logits: the answer is the mean of the values, and tells how many of the cross-image tokens (value 1) were read.
        var (query, value) = (zeros(2, 1, 40, 8), zeros(2, 1, 40, 8));
        value[1] = 1;
        using var subjects = SubjectTokens.FromMasks(ones([2, 40], ScalarType.Bool));
        var attended = SharedAttention.Apply(query, query, value, subjects, dropout: 0.25);
        Assert.Equal(30f / 70, attended[0, 0, 0, 0].item<float>(), 1e-6f);
    }

    [Fact]
    public void Dropout_follows_its_seed_and_not_the_threads()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var (query, key, value) = (Tokens(), Tokens(), Tokens());
        using var subjects = SubjectTokens.FromMasks(rand([3, 60], generator: random) < 0.5);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            var one = Attend(7);
            TensorAssert.SameBits(one, Attend(7));
            Assert.False(one.allclose(Attend(8)));
            set_num_threads(2);
            Assert.True(one.allclose(Attend(7)));
        }
        finally
        {
            set_num_threads(threads);
        }

        Tensor Attend(long seed) => SharedAttention.Apply(query, key, value, subjects, dropout: 0.5, seed: seed);

        Tensor Tokens() => randn([3, 2, 60, 8], ScalarType.Float64, generator: random);
    }

    [Fact]
    public void An_image_drops_by_the_seed_and_its_place()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(12);
        var x = randn([1, 2, 40, 8], generator: random).repeat(3, 1, 1, 1);
        using var subjects = SubjectTokens.FromMasks(ones([3, 40], ScalarType.Bool));
        TensorAssert.SameBits(Attend(8)[0], Attend(7)[1]);
        TensorAssert.SameBits(Attend(9)[0], Attend(7)[2]);
        Assert.False(Attend(7)[0].SameBitsAs(Attend(7)[1]));

        Tensor Attend(long seed) => SharedAttention.Apply(x, x, x, subjects, dropout: 0.5, seed: seed);
    }

    [Theory]
    [InlineData(1, true, 0)]
    [InlineData(0.7, false, 0.3)]
    public void The_kernel_gives_what_gathering_gives_in_float64(double strength, bool subjectQueriesOnly, double dropout)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var labels = randint(0, 3, [3, 300], generator: random, dtype: ScalarType.Int64);
        using var subjects = SubjectTokens.FromLabels(labels, 2, (image, subject) => image != 1 || subject != 0, textTokens: 5);
        var (query, key, value) = (Tokens(16), Tokens(16), Tokens(12));
        var expected = Attend(ScalarType.Float64);
        var together = Attend(ScalarType.Float32);
        Assert.InRange((together - expected).abs().max().item<double>(), 0, 5e-6);

        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            TensorAssert.SameBits(together, Attend(ScalarType.Float32));
        }
        finally
        {
            set_num_threads(threads);
        }

        Tensor Attend(ScalarType type) => SharedAttention.Apply(
            query.to(type), key.to(type), value.to(type), subjects, strength, subjectQueriesOnly, dropout, seed: 9);

        Tensor Tokens(long width) => randn([6, 305, 2, width], generator: random).transpose(1, 2);
    }

    [Fact]
    public void Memory_does_not_grow_with_the_square_of_the_tokens()
    {
        // All logits of all images would be 49,152² floats, 9.7 GB; those of one image's readers against what they read, 0.2 GB.
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var tokens = Seeded.Normal(6, 8192, 1, 8).transpose(1, 2);
        using var subjects = SubjectTokens.FromMasks(Seeded.Uniform(6, 8192) < 0.3);
        using var warm = SharedAttention.Apply(tokens, tokens, tokens, subjects, strength: 0.5);
        var before = ResidentMemory.StartWatch();
        SharedAttention.Apply(tokens, tokens, tokens, subjects, strength: 0.5);
        Assert.InRange(ResidentMemory.Peak - before, 0, 100_000_000);
    }

    [Theory]
    [InlineData(ScalarType.Float16, 2e-3)]
    [InlineData(ScalarType.BFloat16, 2e-2)]
    public void Half_precision_differs_by_its_rounding_only(ScalarType dtype, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(4);
        var (query, key, value) = (Tokens(), Tokens(), Tokens());
        using var subjects = SubjectTokens.FromMasks(rand([3, 60], generator: random) < 0.5);
        var half = SharedAttention.Apply(query, key, value, subjects, strength: 0.5);
        var full = SharedAttention.Apply(query.@float(), key.@float(), value.@float(), subjects, strength: 0.5);
        Assert.Equal(dtype, half.dtype);
        Assert.True((half.@float() - full).abs().max().item<float>() < tolerance);

        Tensor Tokens() => randn([3, 2, 60, 8], generator: random).to_type(dtype);
    }

    [Fact]
    public void Tensors_that_do_not_fit_the_masks_are_refused()
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([3, 10], ScalarType.Bool));
        var four = Seeded.Normal(4, 2, 10, 8);
        var rows = Assert.Throws<ArgumentException>(() => SharedAttention.Apply(four, four, four, subjects));
        Assert.Contains("4 rows", rows.Message, StringComparison.Ordinal);
        var eleven = Seeded.Normal(3, 2, 11, 8);
        var tokens = Assert.Throws<ArgumentException>(() => SharedAttention.Apply(eleven, eleven, eleven, subjects));
        Assert.Contains("11 tokens", tokens.Message, StringComparison.Ordinal);
        var ten = Seeded.Normal(3, 2, 10, 8);
        Assert.Throws<ArgumentException>("key", () => SharedAttention.Apply(ten, eleven, ten, subjects));
        Assert.Throws<ArgumentException>("value", () => SharedAttention.Apply(ten, ten, four, subjects));
        Assert.Throws<ArgumentException>(() => SubjectTokens.FromMasks(ones(3, 2, 5)));
        Assert.Throws<ArgumentException>(() => SubjectTokens.FromMasks(ones(3, 5), [true]));
    }
}
