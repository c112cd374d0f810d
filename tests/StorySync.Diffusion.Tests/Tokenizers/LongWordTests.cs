using CsCheck;
using Microsoft.ML.Tokenizers;
using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Words without an end are tokenized in time that grows as they do: with a quadratic step these tests would take an
/// hour.</summary>
public class LongWordTests
{
    private const int Length = 1_000_000;

    public static MatrixTheoryData<string, string> Words() => new(
        ["vocab/clip", "vocab/t5"], ["letters", "one letter", "digits", "signs", "combining marks", "emoji", "spaces", "apostrophes"]);

    [Theory]
    [MemberData(nameof(Words))]
    public void A_word_of_a_million_characters_is_tokenized(string folder, string kind)
    {
        var random = new Random(3);
        var text = kind switch
        {
            "letters" => Repeat(_ => (char)('a' + random.Next(26))),
            "one letter" => Repeat(_ => 'a'),
            "digits" => Repeat(_ => (char)('0' + random.Next(10))),
            "signs" => Repeat(_ => "!?-_#*"[random.Next(6)]),
            "combining marks" => "a" + Repeat(_ => (char)('\u0300' + random.Next(16))),
            "emoji" => string.Concat(Enumerable.Repeat("🦊", Length / 2)),
            "spaces" => Repeat(i => i % 2 == 0 ? ' ' : 'a'),
            _ => Repeat(_ => '\''),
        };
        var tokenizer = PromptTokenizer.Load(ReferenceData.PathOf(folder));
        var encoding = tokenizer.EncodePadded(text, 77);

        Assert.Equal(77, encoding.Ids.Length);
        Assert.True(encoding.IsTruncated || folder.EndsWith("t5", StringComparison.Ordinal), "An unknown run is one token of T5's.");

        // Tokens do not look far ahead: the beginning is that of the beginning alone.
        Assert.Equal(tokenizer.EncodePadded(text[..2000], 77).Ids.Take(60), encoding.Ids.Take(60));

        static string Repeat(Func<int, char> letter) => string.Create(Length, letter, (span, create) =>
        {
            for (var i = 0; i < span.Length; i++)
            {
                span[i] = create(i);
            }
        });
    }

    [Fact]
    public void Ids_are_those_of_another_implementation()
    {
        var folder = ReferenceData.PathOf("vocab/clip");
        var ours = PromptTokenizer.Load(folder);
        var theirs = BpeTokenizer.Create(new BpeOptions(System.Text.Json.JsonSerializer.Deserialize<Dictionary<string,
            int>>(File.ReadAllText(Path.Combine(folder, "vocab.json")))!)
        {
            Merges = File.ReadLines(Path.Combine(folder, "merges.txt")).Where(line =>
                line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal)),
            EndOfWordSuffix = "</w>",
            ByteLevel = true,
        });
        Gen.Char['a', 'z'].Array[1, 300].Select(letters => new string(letters)).Sample(
            word => Assert.Equal(
                theirs.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false).Select(id => (long)id),
                ours.Encode(word).Ids.Skip(1).SkipLast(1)),
            iter: 300, threads: 1);
    }

    [Fact]
    public void Many_occurrences_of_a_phrase_are_found()
    {
        var positions = SmallTokenizers.Clip.Encode(string.Concat(Enumerable.Repeat("fox ", 100_000))).PositionsOf("fox");
        Assert.Equal(Enumerable.Range(1, 100_000), positions);
    }

    [Fact]
    public void Tokenizing_can_be_cancelled()
    {
        var text = new string('a', 100_000);
        foreach (var tokenizer in (PromptTokenizer[])[SmallTokenizers.Clip, SmallTokenizers.T5])
        {
            Assert.ThrowsAny<OperationCanceledException>(() => tokenizer.Encode(text, new CancellationToken(canceled: true)));
            Assert.ThrowsAny<OperationCanceledException>(() => tokenizer.EncodePadded(text, 12, new CancellationToken(canceled: true)));
        }
    }
}
