using StorySync.Pipelines;
using StorySync.Samples.StoryStrip;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

public sealed class StoryFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("story.yaml", """
        subjects: [a cat, a red robot]
        negative: a frog
        seed: 42
        steps: 9
        guidance: 3.5
        width: 64
        height: 128
        scenes:
          - prompt: a cat and a red robot in the snow
          - prompt: a cat in the city
            subjects: [a cat, null]
            seed: 5
        """)]
    [InlineData("story.json", """
        {
          "subjects": ["a cat", "a red robot"], "negative": "a frog", "seed": 42, "steps": 9, "guidance": 3.5, "width": 64, "height": 128,
          "scenes": [
            { "prompt": "a cat and a red robot in the snow" },
            { "prompt": "a cat in the city", "subjects": ["a cat", null], "seed": 5 }
          ]
        }
        """)]
    public void A_story_is_read_from_yaml_and_from_json(string name, string text)
    {
        var file = StoryFile.Load(folder.Write(name, text));

        Assert.Equal((42L, 9, 3.5, 64, 128, "a frog"), (file.Seed!.Value, file.Steps!.Value, file.Guidance!.Value, file.Width!.Value, file.Height!.Value, file.Negative!));
        var story = file.ToStory(null);
        Assert.Equal(["a cat", "a red robot"], story.Subjects);
        Assert.Equal(["a cat and a red robot in the snow", "a cat in the city"], story.Scenes.Select(scene => scene.Prompt));
        Assert.Null(story.Scenes[0].Subjects);
        Assert.Null(story.Scenes[0].Seed);
        Assert.Equal(["a cat", null], story.Scenes[1].Subjects!);
        Assert.Equal(5, story.Scenes[1].Seed);
    }

    [Fact]
    public void The_samples_stories_are_some()
    {
        var stories = Directory.GetFiles(Path.Combine(ReferenceData.RepositoryRoot, "samples/StoryStrip/Stories"));
        Assert.NotEmpty(stories);
        Assert.All(stories, path => Assert.NotEmpty(StoryFile.Load(path).ToStory(null).Scenes));
    }

    [Fact]
    public void Masks_lie_beside_the_file()
    {
        new RgbImage(2, 1, [255, 255, 255, 0, 0, 0]).SavePng(folder.PathOf("left.png"));
        var path = folder.Write("story.yaml", "subjects: [a cat]\nscenes:\n  - prompt: a cat\n    masks: [left.png]\n  - prompt: a cat\n");

        var story = StoryFile.Load(path).ToStory(null);

        var mask = Assert.Single(story.Scenes[0].Masks!)!;
        Assert.Equal([255, 255, 255, 0, 0, 0], mask.Pixels.ToArray());
        Assert.Null(story.Scenes[1].Masks);
    }

    [Fact]
    public void Subjects_on_the_command_line_go_before_the_files()
    {
        var file = StoryFile.Load(folder.Write("story.yaml", "subjects: [a cat]\nscenes:\n  - prompt: a bear\n"));
        Assert.Equal(["a bear"], file.ToStory(["a bear"]).Subjects);
        Assert.Equal(["a cat"], file.ToStory([]).Subjects);
    }

    [Theory]
    [InlineData("subjects: [a cat]\nscene:\n  - prompt: a cat\n", "line 2")]
    [InlineData("subjects: [a cat]\nscenes:\n  - prompt: a cat\n    seed: soon\n", "line 4")]
    [InlineData("", "is empty")]
    public void A_file_that_is_no_story_is_refused_and_named(string text, string message)
    {
        var path = folder.Write("story.yaml", text);
        var exception = Assert.Throws<InvalidDataException>(() => StoryFile.Load(path));
        Assert.Contains(path, exception.Message);
        Assert.Contains(message, exception.Message);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named() =>
        Assert.Contains("nowhere.yaml", Assert.Throws<FileNotFoundException>(() => StoryFile.Load("nowhere.yaml")).Message);

    public void Dispose() => folder.Dispose();
}
