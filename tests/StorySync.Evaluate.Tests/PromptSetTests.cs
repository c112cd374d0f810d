using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class PromptSetTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void The_built_in_stories_leave_the_colour_open_and_repeat_no_scene()
    {
        var stories = PromptSet.BuiltIn();
        Assert.Equal(12, stories.Count);
        string[] colors = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "brown", "gray"];
        Assert.All(stories, story =>
        {
            Assert.Equal(16, story.Settings.Distinct().Count());
            Assert.All(story.Prompts, prompt =>
            {
                Assert.Contains(story.Subject, prompt);
                Assert.DoesNotContain(prompt.Split(' '), word => colors.Contains(word));
            });
        });
    }

    [Fact]
    public void Categories_of_stories_are_one_list()
    {
        var path = folder.Write("set.yaml", """
            animals:
            - concept_token: owl
              settings:
              - in a tree
              - over a lake
              style: A watercolor of
              subject: an old owl
              extra: 3
            humans:
              - style: ""
                subject: a girl
                settings: [at school]
            """);
        var stories = PromptSet.Load(path);
        Assert.Equal(["animals-1", "humans-1"], stories.Select(story => story.Name));
        Assert.Equal(["A watercolor of an old owl in a tree", "A watercolor of an old owl over a lake"], stories[0].Prompts);
        Assert.Equal(["a girl at school"], stories[1].Prompts);
        Assert.Equal(["owl", "a girl"], stories.Select(story => story.Phrase));
    }

    [Theory]
    [InlineData("An owl with round glasses", "owl", "owl")]
    [InlineData("An Owl", "owl", "owl")]
    [InlineData("A loaf of fresh bread", "loaf of bread", "A loaf of fresh bread")]
    [InlineData("An earl", "ear", "An earl")]
    [InlineData("a cat", "", "a cat")]
    public void The_word_that_names_a_subject_finds_it_if_the_prompt_has_it(string subject, string concept, string phrase) =>
        Assert.Equal(phrase, new PromptStory { Subject = subject, ConceptToken = concept }.Phrase);

    [Theory]
    [InlineData("- subject: a cat", "needs a subject and at least one setting")]
    [InlineData("- settings: [a]", "needs a subject and at least one setting")]
    [InlineData("- {name: a, subject: a cat, settings: [x]}\n- {name: A, subject: a cat, settings: [x]}", "two stories are called")]
    [InlineData("- {subject: a cat, settings: }", "needs a subject and at least one setting")]
    [InlineData("- {subject: a cat, settings: [here, ]}\n-", "story-2")]
    [InlineData("- {subject: a cat, settings: [here, \"\"]}", "none of them empty")]
    [InlineData("- subject: [", "line")]
    [InlineData("- {subject: a cat, settings: here}", "line 1: this is not what belongs here; expected a list of stories")]
    [InlineData("a cat", "expected a list of stories")]
    [InlineData("[]", "has no stories")]
    [InlineData("animals:", "has no stories")]
    [InlineData("", "has no stories")]
    public void A_broken_set_is_refused_with_its_fault(string text, string message)
    {
        var exception = Assert.Throws<InvalidDataException>(() => PromptSet.Load(folder.Write("set.yaml", text)));
        Assert.Contains(message, exception.Message);
    }

    public void Dispose() => folder.Dispose();
}
