using StorySync.Diffusion.Tokenizers;

namespace StorySync.Diffusion.Tests.Tokenizers;

public class PaddingTests
{
    [Fact]
    public void Short_prompts_are_padded_and_the_mask_says_so()
    {
        var encoding = SmallTokenizers.Clip.EncodePadded("the fox", 6);
        Assert.Equal([SmallTokenizers.Begin, 517, 515, SmallTokenizers.End, SmallTokenizers.End, SmallTokenizers.End], encoding.Ids);
        Assert.Equal([1, 1, 1, 1, 0, 0], encoding.AttentionMask);
        Assert.False(encoding.IsTruncated);
        Assert.Equal("", encoding.TruncatedText);
    }

    [Fact]
    public void A_word_of_a_hundred_thousand_letters_is_taken()
    {
        const int Pairs = 50_000;
        var ids = SmallTokenizers.Clip.Encode(string.Concat(Enumerable.Repeat("fo", Pairs)) + "x").Ids;
        Assert.Equal([SmallTokenizers.Begin, .. Enumerable.Repeat(SmallTokenizers.Clip.Encode("fofox").Ids[1], Pairs - 1), 515,
            SmallTokenizers.End], ids);
    }

    [Fact]
    public void The_folder_gives_the_length() => Assert.Equal(12, SmallTokenizers.T5.EncodePadded("fox").Ids.Length);

    [Fact]
    public void Truncation_keeps_the_end_token_and_reports_what_was_cut()
    {
        var encoding = SmallTokenizers.T5.EncodePadded("a red fox, owl", 4);
        Assert.Equal([4, 5, 3, 1], encoding.Ids);
        Assert.True(encoding.IsTruncated);
        Assert.Equal("fox, owl", encoding.TruncatedText);
    }

    [Fact]
    public void A_prompt_that_just_fits_is_not_truncated() => Assert.False(SmallTokenizers.Clip.EncodePadded("the fox", 4).IsTruncated);

    [Fact]
    public void There_has_to_be_room_for_begin_and_end()
    {
        Assert.Equal([SmallTokenizers.Begin, SmallTokenizers.End], SmallTokenizers.Clip.EncodePadded("fox", 2).Ids);
        Assert.Throws<ArgumentOutOfRangeException>(() => SmallTokenizers.Clip.EncodePadded("fox", 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => SmallTokenizers.T5.EncodePadded("fox", 0));
    }

    [Fact]
    public void Without_a_length_anywhere_padding_is_refused()
    {
        var tokenizer = SmallTokenizers.Load(folder => SmallTokenizers.WriteClip(folder, "{}"));
        Assert.Equal(int.MaxValue, tokenizer.ModelMaxLength);
        Assert.Throws<InvalidOperationException>(() => tokenizer.EncodePadded("fox"));
    }
}
