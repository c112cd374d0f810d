using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Tokenizers;

namespace StorySync.Diffusion.Tests.Tokenizers;

public class SpecialTokenTests
{
    private const string Config = """{"tokenizer_class": "CLIPTokenizer", "model_max_length": 77""";

    [Fact]
    public void A_pad_token_that_is_a_word_takes_all_its_places_in_the_text()
    {
        var tokenizer = Clip(Config + """, "pad_token": "!"}""");
        Assert.Equal([SmallTokenizers.Begin, 515, 0, 0, SmallTokenizers.End, 0], tokenizer.EncodePadded("fox!!", 6).Ids);
    }

    [Fact]
    public void Special_tokens_map_goes_before_the_config()
    {
        var tokenizer = SmallTokenizers.Load(folder =>
        {
            SmallTokenizers.WriteClip(folder, Config + """, "pad_token": "<|endoftext|>"}""");
            folder.Write("special_tokens_map.json", """{"pad_token": {"content": "!", "normalized": false}}""");
        });
        Assert.Equal(0, tokenizer.PadTokenId);
    }

    [Fact]
    public void A_normalized_token_is_found_in_any_case()
    {
        string token = """{"__type": "AddedToken", "content": "<|endoftext|>", "normalized": true}""";
        var normalized = Clip(Config + $$""", "eos_token": {{token}}, "pad_token": {{token}}}""");
        Assert.Equal([SmallTokenizers.Begin, SmallTokenizers.End, SmallTokenizers.End], normalized.Encode("<|ENDOFTEXT|>").Ids);

        // The pad token has the same text and comes last.
        var overruled = Clip(Config + $$""", "eos_token": {{token}}, "pad_token": "<|endoftext|>"}""");
        Assert.Equal(3 + "endoftext".Length + 3, overruled.Encode("<|ENDOFTEXT|>").Ids.Length);
    }

    [Fact]
    public void Added_tokens_beyond_the_vocabulary_follow_it()
    {
        var tokenizer = Clip(Config + """, "additional_special_tokens": ["<subject>", "th"]}""");
        Assert.Equal(523, tokenizer.VocabularySize);
        Assert.Equal([SmallTokenizers.Begin, 522, 515, SmallTokenizers.End], tokenizer.Encode("<subject> fox").Ids);
    }

    [Fact]
    public void The_longest_of_the_special_tokens_at_a_place_is_taken()
    {
        var tokenizer = Clip(Config + """, "additional_special_tokens": ["<a>", "<a><b>"]}""");
        Assert.Equal([SmallTokenizers.Begin, 523, 522, SmallTokenizers.End], tokenizer.Encode("<a><b><a>").Ids);
    }

    [Fact]
    public void T5_takes_sentinels_and_end_tokens_from_the_text() =>
        Assert.Equal([14, 3, 6, 1, 1], SmallTokenizers.T5.Encode("<extra_id_0> fox</s>").Ids);

    [Fact]
    public void Unknown_runs_are_one_token_each() => Assert.Equal([3, 2, 3, 2, 8, 1], SmallTokenizers.T5.Encode("xyz Xys").Ids);

    private static PromptTokenizer Clip(string config) => SmallTokenizers.Load(folder => SmallTokenizers.WriteClip(folder, config));
}
