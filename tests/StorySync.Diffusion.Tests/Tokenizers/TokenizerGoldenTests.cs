using System.Text.Json;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Every string of every file in the reference's <c>tokenizers</c> folder, to the id.</summary>
public class TokenizerGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Files => ReferenceData.FileNames("tokenizers");

    [Theory]
    [MemberData(nameof(Files))]
    public void Ids_are_those_of_transformers(string file)
    {
        var head = ReferenceData.Json($"tokenizers/{file}");
        using var folder = new TemporaryFolder();
        var tokenizer = PromptTokenizer.Load(FolderOf(head, folder));

        Assert.Equal(head.GetProperty("pad_id").GetInt32(), tokenizer.PadTokenId);
        Assert.Equal(head.GetProperty("eos_id").GetInt32(), tokenizer.EosTokenId);
        Assert.Equal(head.GetProperty("vocab_size").GetInt32(), tokenizer.VocabularySize);

        int length = head.GetProperty("max_length").GetInt32();
        var cases = head.GetProperty("cases").EnumerateArray().ToList();
        Assert.NotEmpty(cases);
        var failures = cases.SelectMany(c => Differences(tokenizer, c, length)).ToList();
        output.WriteLine($"{file}: {cases.Count} strings, {failures.Count} differences");
        Assert.Empty(failures);
    }

    /// <summary>The real T5 vocabulary also comes as a tokenizer.json, which has to give the same ids.</summary>
    [Fact]
    public void A_tokenizer_json_gives_the_ids_of_its_sentencepiece_model()
    {
        var golden = ReferenceData.Json("tokenizers/real-t5.json");
        var tokenizer = PromptTokenizer.Load(ReferenceData.PathOf("vocab/t5"));
        Assert.Empty(golden.GetProperty("cases").EnumerateArray().SelectMany(c => Differences(tokenizer, c, 128)));
    }

    private static IEnumerable<string> Differences(PromptTokenizer tokenizer, JsonElement golden, int length)
    {
        string text = golden.GetProperty("text").GetString()!;
        var encoding = tokenizer.Encode(text);
        var padded = tokenizer.EncodePadded(text, length);
        long[] ids = Ids(golden, "ids"), idsMaxLength = Ids(golden, "ids_max_length");

        if (!encoding.Ids.SequenceEqual(ids))
        {
            yield return $"\"{text}\": expected {string.Join(' ', ids)}, got {string.Join(' ', encoding.Ids)}";
        }

        if (!padded.Ids.SequenceEqual(idsMaxLength))
        {
            yield return $"\"{text}\" padded: expected {string.Join(' ', idsMaxLength)}, got {string.Join(' ', padded.Ids)}";
        }

        if (padded.AttentionMask.Sum() != Math.Min(ids.Length, length) || padded.IsTruncated != ids.Length > length)
        {
            yield return $"\"{text}\" padded: {padded.AttentionMask.Sum()} tokens in use of {ids.Length}, truncated: {padded.IsTruncated}";
        }
    }

    private static long[] Ids(JsonElement golden, string name) =>
        [.. golden.GetProperty(name).EnumerateArray().Select(id => id.GetInt64())];

    /// <summary>A model's own folder; where the golden names a bare vocabulary, a folder with that and the golden's settings.</summary>
    private static string FolderOf(JsonElement head, TemporaryFolder folder)
    {
        string relative = head.GetProperty("tokenizer").GetString()!;
        string named = ReferenceData.PathOf(relative);
        if (relative.StartsWith("models/", StringComparison.Ordinal))
        {
            return named;
        }

        if (File.Exists(named))
        {
            folder.Write("spiece.model", File.ReadAllBytes(named));
            folder.Write("tokenizer_config.json", """{"tokenizer_class": "T5Tokenizer"}""");
        }
        else
        {
            folder.Write("vocab.json", File.ReadAllBytes(Path.Combine(named, "vocab.json")));
            folder.Write("merges.txt", File.ReadAllBytes(Path.Combine(named, "merges.txt")));
            using var vocabulary = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(named, "vocab.json")));
            int padId = head.GetProperty("pad_id").GetInt32();
            string pad = vocabulary.RootElement.EnumerateObject().Single(t => t.Value.GetInt32() == padId).Name;
            folder.Write("tokenizer_config.json", JsonSerializer.Serialize(new { tokenizer_class = "CLIPTokenizer", pad_token = pad }));
        }
        return folder.Path;
    }
}
