using StorySync.Documents;
using StorySync.Evaluation;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public class BlindScoreTests
{
    private static readonly BlindKey Key = new("page", [new("1", "cat", 7, "plain", "all"), new("2", "bear", 7, "all", "plain")]);

    [Fact]
    public void Answers_count_for_the_variant_that_was_shown_there()
    {
        BlindAnswers[] participants =
        [
            new("page", "x", [new("1", "consistency", "B"), new("2", "consistency", "A")]),
            new("page", "y", [new("1", "consistency", "A"), new("2", "consistency", "same")]),
        ];
        var score = Assert.Single(BlindScore.Of(Key, participants, "all"));
        Assert.Equal(("consistency", 2, 1, 1), (score.Question, score.Wins, score.Losses, score.Ties));
        Assert.Equal(0.625, score.Preference.Mean);
        Assert.Equal(2, score.Preference.Count);
    }

    [Theory]
    [InlineData(9, 1, 22 / 1024.0)]
    [InlineData(1, 9, 22 / 1024.0)]
    [InlineData(5, 0, 2 / 32.0)]
    [InlineData(3, 3, 1)]
    [InlineData(0, 0, 1)]
    public void The_sign_test_is_the_binomial_one(int wins, int losses, double expected) =>
        Assert.Equal(expected, new BlindScore("q", wins, losses, 4, Bootstrap.Mean([1])).SignTest, 1e-9);

    [Fact]
    public void Answers_that_the_key_does_not_fit_are_refused()
    {
        BlindAnswers one = new("page", "x", [new("1", "quality", "A")]);
        Assert.Contains("twice", Assert.Throws<UserErrorException>(() => BlindScore.Of(Key, [one, one], "all")).Message);
        Assert.Contains("page2", Assert.Throws<UserErrorException>(() => BlindScore.Of(Key, [one with { Page = "page2" }], "all")).Message);
        Assert.Contains("'plain' and 'all'", Assert.Throws<UserErrorException>(() => BlindScore.Of(Key, [one], "sharing")).Message);
    }

    [Theory]
    [InlineData("""{"page": "page", "participant": "x", "answers": [{"pair": "3", "question": "quality", "choice": "A"}]}""", "Pair = 3")]
    [InlineData("""{"page": "page", "participant": "x", "answers": [{"pair": "1", "question": "beauty", "choice": "A"}]}""", "Question = beauty")]
    [InlineData("""{"page": "page", "participant": "x", "answers": [{"pair": "1", "question": "quality", "choice": "C"}]}""", "Choice = C")]
    [InlineData("""{"page": "page", "participant": "x", "answers": [null]}""", "empty")]
    [InlineData("""{"page": "page", "participant": "x", "answers": []}""", "no answer")]
    [InlineData("""{"page": "page", "participant": "x", "answers": null}""", "answers")]
    [InlineData("""{"page": "page", "participant": "x"}""", "answers")]
    [InlineData("""{"page": "page", "answers": []}""", "participant")]
    [InlineData("""{"page": "page", "participant": "x", "answers": [{"pair": "1", "question": "quality", "choice": "A"}, {"pair": "1", "question": "quality", "choice": "A"}]}""", "more than once")]
    [InlineData("""{"page": """, "answers.json")]
    [InlineData("", "answers.json")]
    public void A_broken_file_of_answers_is_refused_with_its_fault(string text, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("answers.json", text);
        var exception = Assert.ThrowsAny<DocumentException>(
            () => BlindScore.Of(Key, [Json.Read<BlindAnswers>(path, "file of answers")], "all"));
        Assert.Contains(message, exception.Message);
    }
}
