using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>From a phrase to the positions of its tokens. CLIP here has words "the", "red", "fox" and "owl"; else letters.</summary>
public class PhraseTests
{
    [Theory]
    [InlineData("the red fox", "red fox", new[] { 2, 3 })]
    [InlineData("the red fox", "the", new[] { 1 })]
    [InlineData("red fox the red fox", "red fox", new[] { 1, 2, 4, 5 })]
    [InlineData("fox fox fox owl", "fox fox", new[] { 1, 2, 3 })]
    [InlineData("The RED Fox", "red fox", new[] { 2, 3 })]
    [InlineData("the red fox", "Red FOX", new[] { 2, 3 })]
    [InlineData("the  red\tfox", " red \n fox ", new[] { 2, 3 })]
    [InlineData("red, fox: owl!", "fox", new[] { 3 })]
    [InlineData("red, fox: owl!", "red, fox", new[] { 1, 2, 3 })]
    [InlineData("the fox's owl", "fox", new[] { 2 })]
    [InlineData("a-fox-owl", "fox", new[] { 3 })]
    [InlineData("foxs fox", "fox", new[] { 4 })]
    [InlineData("redfox 7fox fox_ fox", "fox", new[] { 8 })]
    [InlineData("<|endoftext|>fox<|startoftext|>", "fox", new[] { 2 })]
    [InlineData("the <|endoftext|> fox", "<|endoftext|> fox", new[] { 2, 3 })]
    [InlineData("the e\u0301 fox", "\u00e9", new[] { 2, 3 })]
    [InlineData("e e\u0301 fox", "e", new[] { 1 })]
    [InlineData("\u7ea2\u72d0", "\u72d0", new[] { 4, 5, 6 })]
    public void Clip_finds_whole_words_everywhere(string prompt, string phrase, int[] positions) =>
        Assert.Equal(positions, SmallTokenizers.Clip.EncodePadded(prompt, 20).PositionsOf(phrase));

    [Theory]
    [InlineData("a red fox", "red fox", new[] { 1, 3 })]
    [InlineData("a red fox", "a red fox", new[] { 0, 1, 3 })]
    [InlineData("Fox a fox", "fox", new[] { 1, 4 })]
    [InlineData("foxs, fox, owl", "fox", new[] { 5 })]
    [InlineData("foxs, fox, owl", "fox, owl", new[] { 5, 6, 7 })]
    [InlineData("owl</s>fox", "fox", new[] { 3 })]
    [InlineData("a dragon, a fox", "dragon", new[] { 2, 3, 4, 5 })]
    public void T5_leaves_out_the_mark_in_front_of_a_word(string prompt, string phrase, int[] positions)
    {
        var encoding = SmallTokenizers.T5.EncodePadded(prompt, 20);
        Assert.Equal(positions, encoding.PositionsOf(phrase));
    }

    [Theory]
    [InlineData("the fox", "owl")]
    [InlineData("the foxes", "fox")]
    [InlineData("the fox", "the red fox")]
    [InlineData("", "fox")]
    public void A_phrase_that_is_not_there_is_an_error(string prompt, string phrase)
    {
        var encoding = SmallTokenizers.Clip.Encode(prompt);
        var error = Assert.Throws<ArgumentException>(() => encoding.PositionsOf(phrase));
        Assert.Contains(
            $"\"{phrase}\" does not occur, as whole words, in the prompt \"{prompt}\"", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \t")]
    public void An_empty_phrase_is_an_error(string phrase) =>
        Assert.Throws<ArgumentException>(() => SmallTokenizers.Clip.Encode("the fox").PositionsOf(phrase));

    [Fact]
    public void A_long_prompt_is_quoted_in_part()
    {
        var prompt = SmallTokenizers.Clip.EncodePadded(string.Join(' ', Enumerable.Repeat("red", 10_000)) + " fox", 20);
        foreach (var phrase in (string[])["fox", "owl"])
        {
            var error = Assert.Throws<ArgumentException>(() => prompt.PositionsOf(phrase));
            Assert.Contains("red red red", error.Message, StringComparison.Ordinal);
            Assert.InRange(error.Message.Length, 1, 1000);
        }
    }

    [Fact]
    public void What_was_truncated_away_is_an_error_and_what_is_left_of_it_is_found()
    {
        var encoding = SmallTokenizers.Clip.EncodePadded("fox red owl the fox red owl", maxLength: 7);
        Assert.Equal("red owl", encoding.TruncatedText);
        Assert.Equal([2], encoding.PositionsOf("red"));
        Assert.Equal([1, 2, 5], encoding.PositionsOf("fox red"));

        var cut = SmallTokenizers.Clip.EncodePadded("the fox red owl", maxLength: 4);
        var error = Assert.Throws<ArgumentException>(() => cut.PositionsOf("red owl"));
        Assert.Contains("does not fit into 4 tokens: \"red owl\"", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("vocab/clip", "A hyper-realistic antidisestablishmentarianism, a red fox!", "red fox", new[] { 13, 14 })]
    [InlineData("vocab/clip", "a 🦊 in the ❄️", "🦊", new[] { 2, 3 })]
    [InlineData("vocab/t5", "A red fox walks; the red fox's den", "the red fox", new[] { 6, 7, 9 })]
    public void Real_vocabularies(string folder, string prompt, string phrase, int[] positions)
    {
        var encoding = PromptTokenizer.Load(ReferenceData.PathOf(folder)).EncodePadded(prompt);
        Assert.Equal(positions, encoding.PositionsOf(phrase));
    }
}
