using CsCheck;
using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>What holds for every string: emoji, lone surrogates and NUL among them.</summary>
public class TokenizerPropertyTests
{
    private static readonly Gen<string> Fragment = Gen.OneOf(
        Gen.String,
        Gen.Char.Array[0, 8].Select(chars => new string(chars)),
        Gen.Int[0x1F300, 0x1FAFF].Select(char.ConvertFromUtf32),
        Gen.Char['\ud800', '\udfff'].Select(c => c.ToString()),
        Gen.OneOf(
            " ", "fox", "Red", "the", "fox's", "!", "\0", "\u0301", "\u200d", "\ufe0f", "\u2581",
            "<|endoftext|>", "</s>", "<|ENDOFTEXT|>", "<extra_id_0>", "12", "\uac00", "\u1100\u1161\u11a8"));

    private static readonly Gen<string> Text = Fragment.Array[0, 12].Select(string.Concat);

    public static TheoryData<string> Folders =>
        ["vocab/clip", "vocab/t5", "models/tiny-sdxl/tokenizer_2", "models/tiny-kandinsky3/tokenizer"];

    [Fact]
    public void Any_string_encodes_with_the_small_tokenizers()
    {
        Check(SmallTokenizers.Clip);
        Check(SmallTokenizers.T5);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Any_string_encodes(string folder) => Check(PromptTokenizer.Load(ReferenceData.PathOf(folder)));

    /// <summary>CLIP's words are encoded one by one, so a phrase between two spaces has the tokens it has alone.</summary>
    [Fact]
    public void A_phrase_is_found_where_it_was_put() =>
        Gen.Select(Words, Words, Words).Sample((before, phrase, after) =>
        {
            var tokenizer = SmallTokenizers.Clip;
            int first = tokenizer.Encode(before).Ids.Length - 1, count = tokenizer.Encode(phrase).Ids.Length - 2;
            var positions = tokenizer.Encode($"{before} {phrase.ToUpperInvariant()}  {after}").PositionsOf(phrase);
            Assert.Subset(positions.ToHashSet(), Enumerable.Range(first, count).ToHashSet());
        });

    private static Gen<string> Words { get; } =
        Gen.OneOf("red", "fox", "dragon", "the", "7", "owl's", "\u00e9t\u00e9").Array[1, 4].Select(words => string.Join(' ', words));

    private static void Check(PromptTokenizer tokenizer) =>
        Gen.Select(Text, Gen.Int[2, 40]).Sample((text, length) =>
        {
            var encoding = tokenizer.Encode(text);
            var padded = tokenizer.EncodePadded(text, length);
            Assert.All(encoding.Ids, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
            Assert.Equal(length, padded.Ids.Length);
            Assert.Equal(length, padded.AttentionMask.Length);
            Assert.Equal(Math.Min(length, encoding.Ids.Length), padded.AttentionMask.Sum());
            Assert.Equal(encoding.Ids.Length > length, padded.IsTruncated);
            Assert.Equal(tokenizer.EosTokenId, padded.Ids[(int)padded.AttentionMask.Sum() - 1]);
            // Begin and contents are those of the whole encoding.
            int kept = (int)padded.AttentionMask.Sum() - 1;
            Assert.Equal(encoding.Ids[..kept], padded.Ids[..kept]);
        }, iter: 200);
}
