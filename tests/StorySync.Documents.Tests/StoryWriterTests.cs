using System.Text.Json;
using CsCheck;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Documents.Tests;

public sealed class StoryWriterTests : IDisposable
{
    private static readonly Gen<string> Texts = Gen.OneOf(
        Gen.OneOf(new[]
        {
            "null", "~", "true", "- a", "a: b", "#no", "'", "\"", "42", "1e3", "{x}", "[", "a\nb", "\ta", " a ", "%x", "@x", "*a", "&a",
            "!a", "|", ">", "a #b", "é", "日本", "مرحبا", "🦊", "a\\b", "\u0001", "\u2028", "---", "...",
        }.Select(Gen.Const).ToArray()),
        Gen.Char[' ', '~'].Array[1, 20].Select(own => new string(own))).Where(text => !string.IsNullOrWhiteSpace(text));

    private static readonly Gen<StoryFileScene> Scenes =
        from prompt in Texts
        from subjects in Gen.OneOf(Texts.Select(text => (string?)text), Gen.Const((string?)null)).Array[0, 2]
        from states in Gen.Dictionary(Texts, Texts)[0, 2]
        from seed in Gen.Long
        from said in Gen.Select(Texts, Texts, (who, says) => new StoryFileLine(who, says)).Array[0, 2]
        from box in Gen.Double[0, 0.5]
        from caption in Texts
        from kind in Gen.Int[0, 3]
        select kind == 0 ? new StoryFileScene(prompt) : new StoryFileScene(prompt)
        {
            Subjects = kind == 1 ? subjects : null, States = states, Seed = kind == 2 ? seed : null, Dialogue = said,
            Regions = kind == 3 ? [new StoryFileRegion(prompt) { Box = new(box, 0, 0.5, 1) }] : [],
            Location = kind == 2 ? caption : null, Caption = kind == 1 ? caption : null,
        };

    private static readonly Gen<StoryFile> Stories =
        from title in Texts
        from subjects in Texts.Array[0, 2]
        from cast in Gen.Dictionary(Texts, Gen.Select(Texts, Texts.Array[0, 2]))[0, 2]
        from guidance in Gen.Double[-100, 100]
        from scenes in Scenes.Array[1, 3]
        select new StoryFile
        {
            Title = title, Subjects = subjects, Guidance = guidance, Scenes = scenes,
            Cast = [.. cast.Select(one => new StoryFileCharacter(new(one.Key, one.Value.Item1) { Aliases = one.Value.Item2 }))],
        };

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void A_story_is_written_and_read_to_the_same() => Stories.Sample(
        story => (story.ToJson(), story.ToJson()) == (
            StoryFile.Parse(story.ToJson(), StoryFileFormat.Json).ToJson(), StoryFile.Parse(story.ToYaml()).ToJson()),
        seed: "cKPqEFDNd991", iter: 500, print: story => story.ToYaml());

    [Fact]
    public void Every_value_is_written()
    {
        new RgbImage(2, 1, [255, 255, 255, 0, 0, 0]).SavePng(folder.PathOf("left.png"));
        const string Text = """
            title: A day
            author: Mia's mother
            language: en
            subjects:
            - a frog
            cast:
              Mia:
                description: a fox
                aliases:
                - the captain
                noun: vixen
            negative: rain
            seed: -3
            steps: 9
            guidance: 2.5
            width: 64
            height: 128
            scenes:
            - prompt: a frog and Mia
              subjects:
              - a frog
              states:
                Mia: in a hat
              seed: 5
              masks:
              - left.png
              regions:
                a frog: left.png
                Mia: [0, 0, 0.5, 1]
              location: harbour
              caption: They met.
              dialogue:
              - who: Mia
                says: Hello!
            - Mia

            """;
        var story = StoryFile.Load(folder.Write("story.yaml", Text));
        Assert.Equal(Text.ReplaceLineEndings("\n"), story.ToYaml());
        Assert.Equal(story.ToYaml(), StoryFile.Load(folder.Write("story.json", story.ToJson())).ToYaml());
        var written = JsonDocument.Parse(story.ToJson()).RootElement.EnumerateObject().Select(own => own.Name);
        Assert.Equal(StorySchema.Story.Names.Where(name => name[0] != '$').Order(), written.Order());
    }

    [Fact]
    public void Options_are_the_storys_and_else_the_defaults()
    {
        var defaults = new StoryOptions { SameNoise = true, Request = new FluxRequest { Steps = 4, GuidanceScale = 1, Seed = 3 } };
        var options = StoryFile.Parse("{negative: rain, guidance: 2, seed: 8, scenes: [a]}").ToOptions(defaults);
        var request = Assert.IsType<FluxRequest>(options.Request);
        Assert.True(options.SameNoise);
        Assert.Equal((4, 2.0, 8), (request.Steps!.Value, request.GuidanceScale!.Value, request.Seed!.Value));
        Assert.Equal(["rain"], request.NegativePrompts!);
        Assert.Null(StoryFile.Parse("scenes: [a]").ToOptions().Request!.Seed);
    }

    [Theory]
    [InlineData("sceens: [a]", "did you mean 'scenes'?")]
    [InlineData("scense: [a]", "did you mean 'scenes'?")]
    [InlineData("Scenes: [a]", "did you mean 'scenes'?")]
    [InlineData("scenes: [{prompt: a, capton: b}]", "did you mean 'caption'?")]
    [InlineData("scenes: [{prompt: a, dialogue: [{whom: b, says: c}]}]", "did you mean 'who'?")]
    public void A_mistyped_key_gets_a_suggestion(string text, string suggestion) =>
        Assert.Contains(suggestion, Assert.Throws<DocumentException>(() => StoryFile.Parse(text)).Message);

    [Theory]
    [InlineData("xyz: 1")]
    [InlineData("? null\n: 1")]
    [InlineData("promptpromptpromptpromptpromptprompt: 1")]
    public void A_key_like_no_other_gets_none(string text) =>
        Assert.DoesNotContain("did you mean", Assert.Throws<DocumentException>(() => StoryFile.Parse(text)).Message);

    [Theory]
    [InlineData("scenes: [{prompt: a, dialogue: [b]}]", 34, "a line of dialogue must be a mapping")]
    [InlineData("scenes: [{prompt: a, dialogue: [{who: b}]}]", 34, "needs 'says'")]
    [InlineData("scenes: [{prompt: a, dialogue: [{who: b, says: ''}]}]", 49, "says must not be empty")]
    [InlineData("scenes: [{prompt: a, caption: [b]}]", 32, "caption must be a text")]
    public void A_fault_of_captions_and_dialogue_has_its_place(string text, int column, string words)
    {
        var fault = Assert.Throws<DocumentException>(() => StoryFile.Parse(text, name: "mine"));
        Assert.Equal(new DocumentPlace("mine", 1, column - 1), fault.Place);
        Assert.Contains(words, fault.Message);
    }

    [Fact]
    public void A_text_names_no_files()
    {
        const string Text = "subjects: [a]\nscenes: [{prompt: a, masks: [/etc/hostname]}]";
        Assert.Contains("cannot name files", Assert.Throws<DocumentException>(() => StoryFile.Parse(Text)).Message);
        Assert.Contains("There is no mask", Assert.Throws<DocumentException>(() =>
            StoryFile.Parse(Text.Replace("/etc/hostname", "m.png", StringComparison.Ordinal), folder: folder.Path)).Message);
    }

    public void Dispose() => folder.Dispose();
}
