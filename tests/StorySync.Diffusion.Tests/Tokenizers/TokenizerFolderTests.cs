using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Whatever is wrong with a folder, one kind of exception names the file.</summary>
public class TokenizerFolderTests
{
    [Theory]
    [InlineData("vocab.json", null, "no such file")]
    [InlineData("vocab.json", "{", "no valid JSON")]
    [InlineData("vocab.json", "[]", "JSON object")]
    [InlineData("vocab.json", """{"a": "b"}""", "")]
    [InlineData("vocab.json", """{"a": 0}""", "unk_token \"<|endoftext|>\"")]
    [InlineData("merges.txt", null, "no such file")]
    [InlineData("merges.txt", "a b c", "")]
    [InlineData("merges.txt", "q u", "")]
    [InlineData("tokenizer_config.json", "{]", "no valid JSON")]
    [InlineData("tokenizer_config.json", """{"tokenizer_class": 5}""", "tokenizer_class")]
    [InlineData("tokenizer_config.json", """{"tokenizer_class": "LlamaTokenizer"}""", "LlamaTokenizer")]
    [InlineData("tokenizer_config.json", """{"pad_token": "<none>"}""", "pad_token \"<none>\"")]
    [InlineData("tokenizer_config.json", """{"pad_token": []}""", "a special token is []")]
    [InlineData("tokenizer_config.json", """{"model_max_length": "long"}""", "model_max_length is \"long\"")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": {"one": "<a>"}}""", "")]
    [InlineData("special_tokens_map.json", """{"eos_token": {"text": "<a>"}}""", "\"content\" was expected")]
    public void Damage_of_a_clip_folder_is_named(string file, string? content, string message) =>
        AssertDamage(folder => SmallTokenizers.WriteClip(folder), file, content, message);

    [Theory]
    [InlineData("tokenizer.json", "nothing", "no valid JSON")]
    [InlineData("tokenizer.json", "{}", "model.vocab")]
    [InlineData("tokenizer.json", """{"model": {"type": "BPE", "vocab": {}, "merges": []}}""", "\"Unigram\" was expected")]
    [InlineData("tokenizer.json", """{"model": {"type": "Unigram", "vocab": [["a"]]}}""", "")]
    [InlineData("tokenizer.json", """{"model": {"type": "Unigram", "vocab": [["a", -1]]}}""", "unk_token \"<unk>\"")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0], ["</s>", 0]]}}""", "pad_token \"<pad>\"")]
    [InlineData("tokenizer.json", """
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
        "model": {"vocab": [["<unk>", 0], ["</s>", 0], ["<pad>", 0]]}}
        """, "precompiled_charsmap")]
    [InlineData("tokenizer.json", """
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "%"}, "model": {"vocab": [["<unk>", 0]]}}
        """, "tokenizer.json")]
    public void Damage_of_a_t5_folder_is_named(string file, string content, string message) =>
        AssertDamage(folder => SmallTokenizers.WriteT5(folder), file, content, message);

    [Theory]
    [InlineData("")]
    [InlineData("version https://git-lfs.github.com/spec/v1")]
    [InlineData("\n\u0003\n\u0001a")]
    public void A_file_that_is_no_sentencepiece_model_is_named(string content) =>
        AssertDamage(folder => folder.Write("tokenizer_config.json", """{"tokenizer_class": "T5Tokenizer"}"""), "spiece.model", content, "");

    [Fact]
    public void A_missing_folder_and_an_empty_one_are_named()
    {
        using var folder = new TemporaryFolder();
        var empty = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(folder.Path));
        Assert.Contains("expected tokenizer.json, vocab.json with merges.txt, or spiece.model", empty.Message, StringComparison.Ordinal);
        var missing = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(Path.Combine(folder.Path, "no")));
        Assert.Contains(folder.Path, missing.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"tokenizer_class": null}""")]
    [InlineData("""{"tokenizer_class": "CLIPTokenizerFast"}""")]
    [InlineData("""{"tokenizer_class": "PreTrainedTokenizerFast"}""")]
    public void The_kind_is_told_by_class_or_files(string config)
    {
        Assert.NotNull(SmallTokenizers.Load(folder => SmallTokenizers.WriteClip(folder, config)).BosTokenId);
        if (!config.Contains("CLIP", StringComparison.Ordinal))
        {
            Assert.Null(SmallTokenizers.Load(folder => SmallTokenizers.WriteT5(folder, config)).BosTokenId);
        }
    }

    private static void AssertDamage(Action<TemporaryFolder> write, string file, string? content, string message)
    {
        using var folder = new TemporaryFolder();
        write(folder);
        if (content is null)
        {
            File.Delete(Path.Combine(folder.Path, file));
        }
        else
        {
            folder.Write(file, content);
        }

        var error = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(folder.Path));
        Assert.Contains(folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }
}
