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
    [InlineData("vocab.json", """{"a": "b"}""", "\"a\" has the id \"b\"; it must be a whole number from 0 to 16777215")]
    [InlineData("vocab.json", """{"a": -1}""", "has the id -1")]
    [InlineData("vocab.json", """{"a": 1.5}""", "has the id 1.5")]
    [InlineData("vocab.json", """{"a": 16777216}""", "has the id 16777216")]
    [InlineData("vocab.json", """{"a": 2147483647}""", "has the id 2147483647")]
    [InlineData("vocab.json", """{"a": 1e400}""", "has the id 1e400")]
    [InlineData("vocab.json", """{"a": null}""", "has the id null")]
    [InlineData("vocab.json", """{"a": 0, "a": 1}""", "vocab.json")]
    [InlineData("vocab.json", """{"\ud800": 0}""", "vocab.json")]
    [InlineData("vocab.json", "", "vocab.json")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": {"2147483647": "<a>"}}""", "has the id 2147483647")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": {"-1": "<a>"}}""", "has the id -1")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": {"1e3": "<a>"}}""", "has the id 1e3")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": []}""", "'added_tokens_decoder' of")]
    [InlineData("tokenizer_config.json", """{"model_max_length": -1}""", "model_max_length is -1")]
    [InlineData("tokenizer_config.json", """{"model_max_length": "NaN"}""", "model_max_length is \"NaN\"")]
    [InlineData("added_tokens.json", """{"<a>": -5}""", "\"<a>\"")]
    [InlineData("added_tokens.json", """{"<a>": "x"}""", "")]
    [InlineData("vocab.json", """{"a": 0}""", "unk_token \"<|endoftext|>\"")]
    [InlineData("merges.txt", null, "no such file")]
    [InlineData("merges.txt", "a b c", "")]
    [InlineData("merges.txt", "q u", "")]
    [InlineData("tokenizer_config.json", "{]", "no valid JSON")]
    [InlineData("tokenizer_config.json", """{"tokenizer_class": 5}""", "tokenizer_class")]
    [InlineData("tokenizer_config.json", """{"tokenizer_class": "LlamaTokenizer"}""", "LlamaTokenizer")]
    [InlineData("tokenizer_config.json", """{"pad_token": "<none>"}""", "pad_token \"<none>\"")]
    [InlineData("tokenizer_config.json", """{"pad_token": []}""", "'pad_token' of tokenizer_config.json is []")]
    [InlineData("tokenizer_config.json", """{"model_max_length": "long"}""", "model_max_length is \"long\"")]
    [InlineData("tokenizer_config.json", """{"added_tokens_decoder": {"one": "<a>"}}""", "")]
    [InlineData("special_tokens_map.json", """{"eos_token": {"text": "<a>"}}""", "\"content\" was expected")]
    public void Damage_of_a_clip_folder_is_named(string file, string? content, string message) =>
        AssertDamage(folder => SmallTokenizers.WriteClip(folder), file, content, message);

    [Theory]
    [InlineData("tokenizer.json", "nothing", "no valid JSON")]
    [InlineData("tokenizer.json", "{}", "model.vocab")]
    [InlineData("tokenizer.json", """{"model": {"type": "BPE", "vocab": {}, "merges": []}}""", "\"Unigram\" was expected")]
    [InlineData("tokenizer.json", """{"model": {"type": "Unigram", "vocab": [["a"]]}}""", "its piece 0 is not a pair of a text and a score")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0], [null, 0]]}}""", "its piece 1 is not a pair")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0], ["a", "NaN"]]}}""", "its piece 1 is not a pair")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", NaN]]}}""", "its piece 0 is not a pair")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0], ["a", -1e400]]}}""", "\"a\" has the score")]
    [InlineData("tokenizer.json", """{"model": {"vocab": {}}}""", "tokenizer.json")]
    [InlineData("tokenizer.json", """{"model": {"vocab": []}}""", "unk_token")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0]]}, "added_tokens": [{"id": 99999999, "content": "x"}]}""",
        "99999999")]
    [InlineData("tokenizer.json", """{"model": {"vocab": [["<unk>", 0]]}, "added_tokens": [{"content": "x"}]}""", "")]
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
        AssertDamage(folder => folder.Write("tokenizer_config.json", """{"tokenizer_class": "T5Tokenizer"}"""), "spiece.model", content,
            "");

    [Fact]
    public void A_missing_folder_and_an_empty_one_are_named()
    {
        using var folder = new TemporaryFolder();
        var empty = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(folder.Path));
        Assert.Contains("expected tokenizer.json, vocab.json with merges.txt, or spiece.model", empty.Message, StringComparison.Ordinal);
        var missing = Assert.Throws<ModelFileException>(() => PromptTokenizer.Load(Path.Combine(folder.Path, "no")));
        Assert.Contains(folder.Path, missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_merge_that_is_no_pair_is_named()
    {
        foreach (var merge in (string[])["[]", "[\"a\"]", "[\"a\", null]", "7", "null"])
        {
            AssertDamage(
                folder => SmallTokenizers.WriteClip(folder), "tokenizer.json",
                """{"model": {"type": "BPE", "vocab": {"<|endoftext|>": 0}, "merges": [""" + merge + "]}}",
                    "its merge 1 is not a pair of tokens");
        }
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
