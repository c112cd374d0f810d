using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Learned tokens in <c>added_tokens.json</c>, as tokenizers without <c>tokenizer.json</c> saved them. The ids are those of
/// transformers 5.23 for CLIP's vocabulary.</summary>
public class AddedTokensTests
{
    private const string Config = """
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
         "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"
        """;

    private const string Added = """{"<my-cat>": 49408, "<My-Dog>": 49409, "<spécial>": 49410}""";

    [Theory]
    [InlineData("a <my-cat> in the forest", new[] { 49406, 320, 49408, 530, 518, 4167, 49407 })]
    [InlineData("a <MY-CAT> and <my-dog>", new[] { 49406, 320, 49408, 537, 49409, 49407 })]
    [InlineData("<My-Dog><my-cat>", new[] { 49406, 49409, 49408, 49407 })]
    [InlineData("x<my-cat>y", new[] { 49406, 343, 49408, 344, 49407 })]
    [InlineData("<spécial> <SPÉCIAL>", new[] { 49406, 49410, 49410, 49407 })]
    [InlineData("<my-ca>", new[] { 49406, 283, 607, 268, 1684, 285, 49407 })]
    public void The_file_is_read(string text, int[] ids)
    {
        using var folder = Folder(Config + "}", Added);
        var tokenizer = PromptTokenizer.Load(folder.Path);
        Assert.Equal(ids, tokenizer.Encode(text).Ids.Select(id => (int)id));
        Assert.Equal(49411, tokenizer.VocabularySize);
    }

    [Fact]
    public void Listed_as_special_in_the_other_file_a_token_is_matched_all_the_same()
    {
        using var folder = Folder(Config + "}", Added);
        folder.Write("special_tokens_map.json", """{"bos_token": "<|startoftext|>", "additional_special_tokens": ["<My-Dog>"]}""");
        Assert.Equal([49406, 320, 49408, 537, 49409, 49407], PromptTokenizer.Load(folder.Path).Encode("a <MY-CAT> and <my-dog>").Ids);
    }

    [Fact]
    public void A_table_in_the_config_takes_its_place()
    {
        using var folder = Folder(Config + """, "added_tokens_decoder": {"49406": {"content": "<|startoftext|>"}, "49407": {"content": "<|endoftext|>"} } }""", Added);
        Assert.Equal([49406, 320, 283, 607, 268, 2368, 285, 49407], PromptTokenizer.Load(folder.Path).Encode("a <my-cat>").Ids);
    }

    [Theory]
    [InlineData("""{"<my-cat>": -1}""", "id -1")]
    [InlineData("""{"<my-cat>": "x"}""", "")]
    [InlineData("""{"<my-cat>": 1e9999}""", "")]
    [InlineData("""["<my-cat>"]""", "JSON object")]
    public void A_wrong_file_is_named(string added, string message)
    {
        using var folder = Folder(Config + "}", added);
        var error = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(folder.Path));
        Assert.StartsWith(folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    private static TemporaryFolder Folder(string config, string added)
    {
        var vocabulary = ReferenceData.PathOf("vocab/clip");
        var folder = new TemporaryFolder();
        foreach (var file in (string[])["vocab.json", "merges.txt"])
        {
            File.Copy(Path.Combine(vocabulary, file), folder.PathOf(file));
        }

        folder.Write("tokenizer_config.json", config);
        folder.Write("added_tokens.json", added);
        return folder;
    }
}
