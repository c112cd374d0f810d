using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

public class PositionMatchingTests
{
    private const int Images = 3;
    private const int Tokens = 7;
    private const int Heads = 2;
    private const int Width = 6;

    [Fact]
    public void A_turned_key_turns_back()
    {
        using var scope = NewDisposeScope();
        var rotary = Rotary();
        var keys = Seeded.Normal(Images, Heads, Tokens, Width);

        Assert.True(rotary.Undo(rotary.Apply(keys)).allclose(keys, 1e-5, 1e-5));
    }

    [Fact]
    public void Cross_image_keys_with_the_content_of_own_ones_come_to_their_places()
    {
        using var scope = NewDisposeScope();
        var rotary = Rotary();
        var content = Seeded.Normal(1, Tokens, Heads, Width);
        long[] order = [4, 2, 6, 0, 5, 1, 3];
        var own = Turned(rotary, content);
        var crossImage = Turned(rotary, content.index_select(1, tensor(order)));

        var moved = PositionMatching.Apply(rotary, crossImage, arange(Tokens), own, arange(Tokens));

        Assert.True(moved.allclose(own.index_select(1, tensor(order)), 1e-5, 1e-5));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Sharing_reads_the_cross_image_keys_where_their_matches_are(bool subjectQueriesOnly)
    {
        using var scope = NewDisposeScope();
        var rotary = Rotary();
        var (query, key, value) = (Random(), Random(), Random());
        bool[,] masks =
        {
            { false, true, true, false, false, true, false },
            { true, false, false, false, true, false, false },
            { false, false, false, false, true, true, true },
        };
        using var subjects = SubjectTokens.FromMasks(tensor(masks));

        var attended = SharedAttention.Apply(query, key, value, subjects, subjectQueriesOnly: subjectQueriesOnly, rotary: rotary);

        for (var image = 0; image < Images; image++)
        {
            for (var token = 0; token < Tokens; token++)
            {
                var keys = key[image];
                var values = value[image];
                foreach (var other in Enumerable.Range(0, Images).Where(i => i != image && (masks[image, token] || !subjectQueriesOnly)))
                {
                    foreach (var q in Enumerable.Range(0, Tokens).Where(q => masks[other, q]))
                    {
                        var at = Enumerable.Range(0, Tokens).Where(p =>
                            masks[image, p]).MaxBy(p => Cosine(Content(image, p), Content(other, q)));
                        keys = cat([keys, At(at).Apply(Content(other, q))], 1);
                        values = cat([values, value[other].narrow(1, q, 1)], 1);
                    }
                }

                var expected = nn.functional.scaled_dot_product_attention(query[image].narrow(1, token, 1), keys, values);
                Assert.True(attended[image].narrow(1, token, 1).allclose(expected, 1e-5, 1e-5));
            }
        }

        Tensor Content(int image, int token) => At(token).Undo(key[image].narrow(1, token, 1));

        RotaryEmbedding At(int token) => rotary.At(tensor(new long[] { token }));

        static double Cosine(Tensor a, Tensor b) => ((a * b).sum() / (a.norm() * b.norm())).item<float>();
    }

    private static Tensor Random() => Seeded.Normal(Images, Heads, Tokens, Width);

    private static Tensor Turned(RotaryEmbedding rotary, Tensor keys) => rotary.Apply(keys.transpose(1, 2)).transpose(1, 2);

    private static RotaryEmbedding Rotary()
    {
        var angles = outer(arange(Tokens, float32), tensor(new[] { 1f, 0.4f, 0.1f })).repeat_interleave(2, 1);
        return new RotaryEmbedding(angles.cos(), angles.sin());
    }
}
