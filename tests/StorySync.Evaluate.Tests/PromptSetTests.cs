using StorySync.Documents;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class PromptSetTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void The_built_in_stories_leave_the_color_open_and_repeat_no_scene()
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
    [InlineData("- subject: a cat", "line 1, column 3: ", "needs a subject and at least one setting")]
    [InlineData("- settings: [a]", "line 1, column 3: ", "needs a subject and at least one setting")]
    [InlineData("- {name: a, subject: a cat, settings: [x]}\n- {name: A, subject: a cat, settings: [x]}", "line 2, column 3: ",
        "two stories are called 'A'")]
    [InlineData("- {name: a/b, subject: a cat, settings: [x]}\n- {name: a_b, subject: a cat, settings: [x]}", "line 2, column 3: ",
        "one folder")]
    [InlineData("- {subject: a cat, settings: }", "line 1, column 3: ", "needs a subject and at least one setting")]
    [InlineData("- {subject: a cat, settings: [here, ]}\n-", "line 2", "'story-2'")]
    [InlineData("- {subject: a cat, settings: [here, \"\"]}", "line 1, column 3: ", "none of them empty")]
    [InlineData("- {subject: a cat, settings: {a: here}}", "line 1, column 30: ", "settings must be a list, not a mapping")]
    [InlineData("- {subject: [a cat], settings: [here]}", "line 1, column 13: ", "subject must be a text, not a list")]
    [InlineData("- subject: [", "set.yaml, line")]
    [InlineData("- a cat", "line 1, column 3: ", "a story must be a mapping")]
    [InlineData("animals: a cat", "line 1, column 10: ", "expected a list of stories")]
    [InlineData("a cat", "line 1, column 1: ", "expected a list of stories")]
    [InlineData("[]", "line 1, column 1: ", "there are no stories")]
    [InlineData("animals:", "line 1, column 1: ", "there are no stories")]
    [InlineData("", "is empty")]
    public void A_broken_set_is_refused_with_its_fault(string text, params string[] words)
    {
        var message = Assert.Throws<DocumentException>(() => PromptSet.Load(folder.Write("set.yaml", text))).Message;
        Assert.All(words, word => Assert.Contains(word, message));
        Assert.DoesNotContain("System.", message);
    }

    [Fact]
    public void A_name_that_is_too_long_for_a_folder_is_refused_when_the_set_is_read()
    {
        var text = $"- name: \"{new string('n', 300)}\"\n  subject: a rabbit\n  settings: [here]\n";
        var message = Assert.Throws<DocumentException>(() => PromptSet.Load(folder.Write("set.yaml", text))).Message;
        Assert.Contains("line 1, column 3: ", message);
        Assert.Contains("has 300 bytes", message);
    }

    public void Dispose() => folder.Dispose();
}
