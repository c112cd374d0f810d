using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Texts that nobody writes: every one is tokenized, in time that grows as it does, and its phrases are found.</summary>
public class HostileTextTests
{
    private const int Length = 200_000;

    private static readonly string[] Texts =
    [
        "", "\0", "\0\0\0", "\ud800", "\udc00\ud800", "a\ud800b", "\u0301", "\u200d\u200d", "\ufeffa", "\uffff", "a\0b", "\u202ea\u202c",
        "<|endoftext|>", "<|startoftext|><|endoftext|>", "</s><pad><unk>", "<extra_id_0>", "'", "''''", "'s", "\u1100\u1161\u11a8", "İ",
            "ǰ",
        "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\u2581\u2581", " ", "\t\r\n\u00a0\u3000",
        Many("<|endoftext|>"), Many("</s>"), Many("\0"), Many("\ud800"), Many("e\u0301"), Many("\u0301"), Many("\u0323\u0307"),
            Many("\u1100"),
        Many("İ"), Many("'s"), Many("\u2581"), Many("<"), Many("a "), Many("\u200d"), Many("\u00a0"), Many("ﷺ"),
    ];

    [Theory]
    [InlineData("vocab/clip")]
    [InlineData("vocab/t5")]
    public void Every_text_is_tokenized(string folder)
    {
        var tokenizer = PromptTokenizer.Load(ReferenceData.PathOf(folder));
        foreach (var text in Texts)
        {
            var encoding = tokenizer.EncodePadded(text, 77);
            Assert.Equal(77, encoding.Ids.Length);
            Assert.All(encoding.Ids, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
            var error = Record.Exception(() => encoding.PositionsOf("fox"));
            Assert.True(error is ArgumentException, $"{error}");
        }
    }

    [Theory]
    [InlineData("vocab/clip")]
    [InlineData("vocab/t5")]
    public void A_phrase_of_nothing_or_of_signs_is_found_or_refused(string folder)
    {
        var encoding = PromptTokenizer.Load(ReferenceData.PathOf(folder)).EncodePadded("a red fox \0 and a (b*c) \U0001F98A", 77);
        foreach (var phrase in (string[])["", " ", "\0", "\ud800", "\u0301", "(b*c)", ".*", "a red fox", "A RED FOX", "fo", "\U0001F98A",
            "<pad>"])
        {
            var error = Record.Exception(() => Assert.NotEmpty(encoding.PositionsOf(phrase)));
            Assert.True(error is null or ArgumentException, $"{phrase}: {error}");
        }
    }

    [Fact]
    public void Tokenizing_ends_when_it_is_cancelled()
    {
        var token = new CancellationToken(canceled: true);
        foreach (var folder in (string[])["vocab/clip", "vocab/t5"])
        {
            var tokenizer = PromptTokenizer.Load(ReferenceData.PathOf(folder));
            Assert.Throws<OperationCanceledException>(() => tokenizer.Encode(Many("x"), token));
        }
    }

    private static string Many(string part) => string.Concat(Enumerable.Repeat(part, Length / part.Length));
}
