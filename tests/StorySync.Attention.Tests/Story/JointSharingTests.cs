using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>The reference's cases of sharing, as a joint layer (FLUX) brings them: after text tokens, through the processor of a
/// run.</summary>
public class JointSharingTests
{
    private const int Text = 5;

    public static TheoryData<string> Cases() => [.. MethodCase.Names(op => op.StartsWith("shared_attention", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Image_tokens_share_as_in_the_reference_and_text_tokens_stay_at_home(string name)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var c = MethodCase.Open(name);
        var (query, key, value) = (c.Values("q"), c.Values("k"), c.Values("v"));
        var (images, tokens, width) = ((int)query.shape[0], (int)query.shape[2], query.shape[3]);
        var inputs = new AttentionInputs(
            WithText(query * Math.Sqrt((width + 1.0) / width), image: 1, text: 0),
            WithText(key, image: 0, text: -1e6),
            cat([Seeded.Normal([images, value.shape[1], Text, value.shape[3]], ScalarType.Float64), value], 2),
            new TokenGrid(1, tokens),
            Text);
        var layer = new AttentionLayer("transformer_blocks.0.attn", AttentionKind.Joint, (int)query.shape[1], (int)width + 1);
        using var story = new StoryAttention(Options(c), Subjects(c), images, guidance: false) { Reads = c.Reads() };

        var attended = story.Attend(layer, inputs, new AttentionContext());

        c.Check("out", attended.narrow(2, Text, tokens));
        var plain = nn.functional.scaled_dot_product_attention(inputs.Query, inputs.Key, inputs.Value);
        Assert.True(attended.narrow(2, 0, Text).allclose(plain.narrow(2, 0, Text), 1e-12, 1e-12));
    }

    /// <summary>Puts text tokens before the image tokens and gives all one more channel. With 1 there in the image's queries and a large
    /// negative number in the text's keys no image token reads text, so that the image's part is the reference's.</summary>
    private static Tensor WithText(Tensor tokens, double image, double text)
    {
        var (rows, heads, width) = (tokens.shape[0], tokens.shape[1], tokens.shape[3]);
        var words = Seeded.Normal([rows, heads, Text, width], ScalarType.Float64);
        return cat([Channel(words, text), Channel(tokens, image)], 2);

        static Tensor Channel(Tensor x, double value) => cat([x, full_like(x.narrow(3, 0, 1), value)], 3);
    }

    private static StoryAttentionOptions Options(MethodCase c) => StoryAttentionOptions.Disabled with
    {
        Sharing = new()
        {
            Strength = c.Number("strength"),
            SubjectQueriesOnly = !c.HasParameter("subject_queries_only") || c.Flag("subject_queries_only"),
        },
    };

    private static IReadOnlyList<StorySubject> Subjects(MethodCase c)
    {
        var labels = c.Has("labels") ? c.Raw("labels") : c.Raw("masks").ne(0).to_type(ScalarType.Int64);
        bool[]? present = c.Has("present") ? [.. c.Flags("present").data<bool>()] : null;
        var images = (int)labels.shape[0];
        return [.. Enumerable.Range(1, c.Has("labels") ? (int)labels.max().item<long>() : 1).Select(subject =>
            new StorySubject($"subject {subject}", [.. Enumerable.Repeat<IReadOnlyList<int>>([], images)])
            {
                Masks = [.. Enumerable.Range(0, images).Select(image =>
                    present?[image] == false ? null : labels[image].eq(subject).unsqueeze(0))],
            })];
    }
}
