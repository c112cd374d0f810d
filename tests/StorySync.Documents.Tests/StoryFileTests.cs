using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Documents.Tests;

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
          - a cat and a red robot in the snow
          - prompt: a cat in the city
            subjects: [a cat, null]
            seed: 5
        """)]
    [InlineData("story.json", """
        {
          // Comments, and commas at the end, are allowed.
          "subjects": ["a cat", "a red robot"], "negative": "a frog", "seed": 42, "steps": 9, "guidance": 3.5, "width": 64, "height": 128,
          "scenes": [
            "a cat and a red robot in the snow",
            { "prompt": "a cat in the city", "subjects": ["a cat", null], "seed": 5, }, /* and these */
          ],
        }
        """)]
    public void A_story_is_read_from_yaml_and_from_json(string name, string text)
    {
        var file = StoryFile.Load(folder.Write(name, text));

        Assert.Equal(
            (42L, 9, 3.5, 64, 128, "a frog"),
            (file.Seed!.Value, file.Steps!.Value, file.Guidance!.Value, file.Width!.Value, file.Height!.Value, file.Negative!));
        Assert.Equal(["a cat", "a red robot"], file.Subjects);
        Assert.Equal(["a cat and a red robot in the snow", "a cat in the city"], file.Scenes.Select(scene => scene.Prompt));
        Assert.Null(file.Scenes[0].Subjects);
        Assert.Null(file.Scenes[0].Seed);
        Assert.Equal(["a cat", null], file.Scenes[1].Subjects!);
        Assert.Equal(5, file.Scenes[1].Seed);
        Assert.Equal(2, file.ToStory().Scenes.Count);
    }

    [Fact]
    public void The_samples_stories_are_some()
    {
        var stories = Directory.GetFiles(Path.Combine(ReferenceData.RepositoryRoot, "samples/StoryStrip/Stories"), "*.yaml");
        Assert.NotEmpty(stories);
        Assert.All(stories, path => Assert.NotEmpty(StoryFile.Load(path).ToStory().Scenes));
    }

    [Fact]
    public void Masks_are_read_from_the_folder_of_the_file()
    {
        new RgbImage(2, 1, [255, 255, 255, 0, 0, 0]).SavePng(folder.PathOf("left.png"));
        var path = folder.Write("story.yaml", "subjects: [a cat]\nscenes:\n  - prompt: a cat\n    masks: [left.png]\n  - a cat\n");

        var file = StoryFile.Load(path);

        var mask = Assert.Single(file.Scenes[0].Masks!)!.Image;
        Assert.Equal([255, 255, 255, 0, 0, 0], mask.Pixels.ToArray());
        Assert.Null(file.Scenes[1].Masks);
    }

    [Theory]
    [InlineData("subjects: [a cat]\nscene:\n  - prompt: a cat\n", 2, 1, "'scene'", "scenes")]
    [InlineData("subjects: [a cat]\nscenes:\n  - prompt: a cat\n    seed: soon\n", 4, 11, "seed", "'soon'", "whole number")]
    [InlineData("subjects: [a cat]\nscenes:\n  - prompt: a cat\n    prompt: a dog\n", 4, 5, "'prompt'", "twice")]
    [InlineData("subjects: [a frog]\nscenes:\n- prompt: a frog in the snow\n- null\n", 4, 3, "needs a prompt")]
    [InlineData("subjects: [a frog]\nscenes:\n- seed: 3\n", 3, 3, "needs a 'prompt'")]
    [InlineData("subjects: [a frog]\nscenes:\n- \"\"\n", 3, 3, "empty")]
    [InlineData("subjects: [a frog]\nscenes: null\n", 2, 9, "no scenes")]
    [InlineData("subjects: [a frog]\nscenes: []\n", 2, 9, "no scenes")]
    [InlineData("subjects: [a frog]\n", 1, 1, "no scenes")]
    [InlineData("subjects: [a frog]\nscenes: &a\n- *a\n", 2, 9, "contains itself", "line 3")]
    [InlineData("&a\nsubjects: [a frog]\nscenes: [*a]\n", 1, 1, "contains itself", "line 3")]
    [InlineData("subjects: [a frog]\nscenes: [*b]\n", 2, 10, "no anchor '&b'")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\nsteps: 99999999999\n", 3, 8, "steps", "from 1 to 10000")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\nsteps: 9.5\n", 3, 8, "steps", "'9.5'")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\nguidance: 4,5\n", 3, 11, "guidance", "decimal point")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\nguidance: .inf\n", 3, 11, "guidance", "a number")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\nseed: [1]\n", 3, 7, "seed", "not a list")]
    [InlineData("subjects: {a: frog}\nscenes: [a frog]\n", 1, 11, "subjects must be a list", "a mapping")]
    [InlineData("subjects: [null]\nscenes: [a frog]\n", 1, 12, "a subject", "null")]
    [InlineData("subjects: [a frog]\nscenes:\n- prompt: a frog\n  masks: [nowhere.png]\n", 4, 11, "There is no mask", "nowhere.png")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: [0, 0, 1]}\n", 3, 21, "a region has 3 numbers", "width and height")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: [0, 0, 2, 1]}\n", 3, 28, "width is '2'", "from 0 to 1")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: [0.6, 0, 0.5, 1]}\n", 3, 21, "[0.6, 0, 0.5, 1]", "not within the image")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: [0, 0, 0, 1]}\n", 3, 21, "[0, 0, 0, 1]", "more than 0")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: {left: 0, top: 0, width: 1}}\n", 3, 21, "needs 'height'")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: {a frog: nowhere.png}\n", 3, 21, "There is no region", "nowhere.png")]
    [InlineData("scenes:\n- prompt: a frog\n  regions: [[0, 0, 1, 1]]\n", 3, 12, "regions must be a mapping", "a list")]
    [InlineData("scenes:\n- prompt: a frog\n  location: \"\"\n", 3, 13, "location must not be empty")]
    [InlineData("cast: [Mia]\nscenes: [Mia]\n", 1, 7, "the cast must be a mapping", "a list")]
    [InlineData("cast:\n  Mia: null\nscenes: [Mia]\n", 2, 8, "a description must be a text")]
    [InlineData("cast:\n  Mia:\n    noun: fox\nscenes: [Mia]\n", 3, 5, "needs a 'description'")]
    [InlineData("cast: {Mia: a fox}\nscenes:\n- prompt: Mia\n  states: {Mia: \"\"}\n", 4, 17, "a state must not be empty")]
    [InlineData("- a cat\n", 1, 1, "a story must be a mapping", "a list")]
    [InlineData("subjects: [a frog]\nscenes: [a frog]\n---\nseed: 3\n", 3, 1, "second document")]
    [InlineData("subjects: \"a frog\nscenes: [a frog]\n", 1, 11)]
    public void A_fault_is_named_with_its_place_and_key(string text, int line, int column, params string[] words)
    {
        var message = Error("story.yaml", text);
        Assert.StartsWith($"{folder.PathOf("story.yaml")}, line {line}, column {column}: ", message);
        AssertPlain(message, words);
    }

    [Theory]
    [InlineData("{\n  \"subjects\": [\"a cat\"],\n  \"scenes\": [\"a cat\"],\n  \"step\": 3\n}", 4, 3, "'step'", "steps")]
    [InlineData("{\n  \"scenes\": [\"a cat\", {\"prompt\": \"é\", \"seed\": true}]\n}", 2, 47, "seed", "'true'")]
    [InlineData("{\n  \"scenes\": [\n", 3, 1)]
    [InlineData("{} {}", 1, 4)]
    [InlineData("{\"scenes\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 1, 43)]
    public void Json_too(string text, int line, int column, params string[] words)
    {
        var message = Error("story.json", text);
        Assert.StartsWith($"{folder.PathOf("story.json")}, line {line}, column {column}: ", message);
        AssertPlain(message, words);
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("# nothing\n", "nothing but space")]
    [InlineData("a: [b\nc: d", "line", "not YAML")]
    public void A_file_that_is_no_yaml_is_named(string text, params string[] words)
    {
        var message = Error("story.yaml", text);
        Assert.Contains(folder.PathOf("story.yaml"), message);
        AssertPlain(message, words);
    }

    [Fact]
    public void A_file_that_is_no_text_is_named() => AssertPlain(
        Assert.Throws<DocumentException>(() => StoryFile.Load(folder.Write("story.yaml", [0x61, 0x3a, 0x20, 0xff]))).Message,
        folder.PathOf("story.yaml"),
        "not UTF-8");

    [Fact]
    public void Deep_nesting_is_refused() => AssertPlain(
        Error("story.yaml", $"scenes: {new string('[', 100_000)}"), "nested more than 32 deep");

    [Theory]
    [InlineData("masks: [m.png, m.png]", "'masks' has 2 entries", "1 subject;")]
    [InlineData("subjects: []", "'subjects' has 0 entries", "1 subject;")]
    public void Lists_of_a_scene_have_one_entry_for_each_subject(string own, params string[] words)
    {
        new RgbImage(1, 1, [0, 0, 0]).SavePng(folder.PathOf("m.png"));
        var file = StoryFile.Load(folder.Write("story.yaml", $"subjects: [a cat]\nscenes:\n- prompt: a cat\n  {own}\n"));
        AssertPlain(Assert.Throws<DocumentException>(() => file.ToStory()).Message, ["line 3, column 3", .. words]);
    }

    [Theory]
    [InlineData("story.yaml", """
        cast:
          Mia: a small red fox with a blue scarf
          James: { description: an old cat, aliases: the captain, noun: tom }
        scenes:
        - prompt: Mia meets James
          states: { Mia: in a raincoat }
        - the captain sleeps, the captain snores
        """)]
    [InlineData("story.json", """
        {
          "cast": {
            "Mia": "a small red fox with a blue scarf",
            "James": { "description": "an old cat", "aliases": ["the captain"], "noun": "tom" }
          },
          "scenes": [{ "prompt": "Mia meets James", "states": { "Mia": "in a raincoat" } }, "the captain sleeps, the captain snores"]
        }
        """)]
    public void A_cast_is_read_with_names_states_and_nouns(string name, string text)
    {
        var story = StoryFile.Load(folder.Write(name, text)).ToStory();

        Assert.Equal(["Mia meets James", "the captain sleeps, the captain snores"], story.Scenes.Select(scene => scene.Prompt));
        Assert.Equal(
            ["A small red fox with a blue scarf in a raincoat meets an old cat", "An old cat sleeps, the tom snores"],
            story.ExpandCast().Scenes.Select(scene => scene.Prompt));
    }

    [Theory]
    [InlineData("cast:\n  Mia: in a hat\nscenes: [Mia]\n", "line 2, column 8", "no noun phrase")]
    [InlineData("cast:\n  Mia: a fox\n  Leo:\n    description: a bear\nscenes: [Mia]\n", "line 4, column 5", "absent from every scene")]
    [InlineData("cast:\n  Mia: a fox\nscenes:\n- Mia\n- prompt: a ball\n  states: {Mia: asleep}\n", "line 5, column 3", "does not mention")]
    [InlineData("cast:\n  Mia: a fox\nscenes:\n- prompt: Mia\n  states: {Leo: asleep}\n", "line 4, column 3", "not a name")]
    public void A_fault_of_the_cast_has_its_place(string text, params string[] words)
    {
        var file = StoryFile.Load(folder.Write("story.yaml", text));
        AssertPlain(Assert.Throws<DocumentException>(() => file.ToStory()).Message, words);
    }

    [Fact]
    public void Regions_and_locations_are_read()
    {
        new RgbImage(2, 1, [255, 255, 255, 0, 0, 0]).SavePng(folder.PathOf("left.png"));
        var story = StoryFile.Load(folder.Write("story.yaml", """
            subjects: [a frog, a cat]
            cast: { Mia: a small red fox }
            scenes:
            - prompt: a frog, a cat and Mia
              location: harbour
              regions:
                a frog: [0, 0.5, 0.25, 0.5]
                Mia: { height: 1, width: 0.5, top: 0, left: 0.5 }
                a cat: left.png
            - prompt: a cat and Mia
              subjects: [null, a cat]
              regions: { a cat: [0, 0, 1, 1], Mia: null }
            """)).ToStory();

        Assert.Equal(["harbour", null], story.Scenes.Select(scene => scene.Location));
        Subject fox = new("small red fox");
        var (first, second) = (story.Scenes[0].Subjects, story.Scenes[1].Subjects);
        Assert.Equal(
            [new Subject("a frog").In(new RegionBox(0, 0.5, 0.25, 0.5)), fox.In(new RegionBox(0.5, 0, 0.5, 1))],
            first.Where(own => own.RegionMask is null));
        Assert.Equal([255, 255, 255, 0, 0, 0], Assert.Single(first, own => own.RegionMask is not null).RegionMask!.Pixels.ToArray());
        Assert.Equal(
            [new Subject("a frog").Absent(), new Subject("a cat").In(new RegionBox(0, 0, 1, 1)) with { Phrase = "a cat" }], second);
    }

    [Theory]
    [InlineData("regions: {a dog: [0, 0, 1, 1]}", "line 4, column 20", "'a dog'", "known are a cat")]
    [InlineData("regions: {a cat: [0, 0, 1, 1]}\n  subjects: [null]", "line 4, column 20", "the scene lacks it")]
    public void A_region_of_what_the_scene_lacks_has_its_place(string own, params string[] words)
    {
        var file = StoryFile.Load(folder.Write("story.yaml", $"subjects: [a cat]\nscenes:\n- prompt: a cat\n  {own}\n"));
        AssertPlain(Assert.Throws<DocumentException>(() => file.ToStory()).Message, words);
    }

    [Fact]
    public void A_pipe_is_no_mask_and_no_story()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Pipes with names are made by mkfifo.");
        using var make = System.Diagnostics.Process.Start("mkfifo", folder.PathOf("pipe.png"));
        make.WaitForExit();
        AssertPlain(Error("story.yaml", "subjects: a cat\nscenes:\n- prompt: a cat\n  masks: [pipe.png]\n"), "line 4, column 11",
            "pipe.png", "not a regular file");
        AssertPlain(Assert.Throws<DocumentException>(() => StoryFile.Load(folder.PathOf("pipe.png"))).Message, "not a regular file");
        AssertPlain(Assert.Throws<DocumentException>(() => StoryFile.Load(folder.Path)).Message, "is a folder");
    }

    [Theory]
    [InlineData("no image")]
    [InlineData("GIF89a\uffff\uffff\uffff\uffff")]
    public void A_mask_that_is_no_image_is_named(string content)
    {
        File.WriteAllText(folder.PathOf("m.png"), content);
        AssertPlain(Error("story.yaml", "subjects: a cat\nscenes:\n- prompt: a cat\n  masks: [m.png]\n"), "line 4, column 11",
            folder.PathOf("m.png"));
    }

    public void Dispose() => folder.Dispose();

    private string Error(string name, string text) =>
        Assert.Throws<DocumentException>(() => StoryFile.Load(folder.Write(name, text))).Message;

    private static void AssertPlain(string message, params string[] words)
    {
        Assert.All(words, word => Assert.Contains(word, message));
        Assert.DoesNotContain("System.", message);
        Assert.DoesNotContain("StorySync.", message);
        Assert.DoesNotContain("Parameter '", message);
        Assert.DoesNotContain('\n', message);
    }
}
