using System.Text;
using System.Text.Json;
using CsCheck;

namespace StorySync.Pipelines.Tests;

/// <summary>Names of characters in prompts, by the rules of <see cref="Story.ExpandCast"/>.</summary>
public class CastTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private const string MiaIs = "a small red fox with a blue scarf";

    private static readonly Character Mia = new("Mia", MiaIs) { Aliases = ["the fox girl", "M. I. A"] };
    private static readonly Character James = new("James", "an old gray cat that wears boots");

    private static readonly Story Friends = new() { Cast = [Mia, James], Scenes = [] };

    [Theory]
    [InlineData("in the snow Mia naps", "in the snow a small red fox with a blue scarf naps")]
    [InlineData("Mia runs, and Mia laughs", "A small red fox with a blue scarf runs, and the fox laughs")]
    [InlineData("Mia sits. Mia's ball is gone! \"Mia\" weeps.",
        "A small red fox with a blue scarf sits. The fox's ball is gone! \"The fox\" weeps.")]
    [InlineData("here is Mia’s ball", "here is a small red fox with a blue scarf’s ball")]
    [InlineData("the house of Mia and James' hat",
        "the house of a small red fox with a blue scarf and an old gray cat that wears boots' hat")]
    [InlineData("see James, James' hat and James's house", "see an old gray cat that wears boots, the cat's hat and the cat's house")]
    [InlineData("'see James'", "'see an old gray cat that wears boots'")]
    [InlineData("Mia in Miami with Mia-like Mia_2, O'Mia, pre-Mia, Amia and Mía",
        "A small red fox with a blue scarf in Miami with Mia-like Mia_2, O'Mia, pre-Mia, Amia and Mía")]
    [InlineData("mia and MIA are others than Mia", "mia and MIA are others than a small red fox with a blue scarf")]
    [InlineData("The fox girl meets James; the fox girl bows",
        "A small red fox with a blue scarf meets an old gray cat that wears boots; the fox bows")]
    [InlineData("see M. I. A – Mia", "see a small red fox with a blue scarf – the fox")]
    [InlineData("a forest – Mia!", "a forest – a small red fox with a blue scarf!")]
    [InlineData("at 3.Mia", "at 3.a small red fox with a blue scarf")]
    public void Names_become_descriptions_and_then_nouns(string prompt, string expected)
    {
        var story = Friends with { Scenes = [new(prompt), new("Mia and James")] };

        Assert.Equal(expected, story.ExpandCast().Scenes[0].Prompt);
    }

    [Theory]
    [InlineData("a small red fox with a blue scarf", null, "small red fox", "fox")]
    [InlineData("an old man", null, "old man", "man")]
    [InlineData("The  queen of hearts", null, "queen", "queen")]
    [InlineData("a black and white cat, wearing a hat", null, "black and white cat", "cat")]
    [InlineData("an old fox tired and gray", "fox", "old fox", "fox")]
    [InlineData("a knight in armor", "hero", "knight", "hero")]
    [InlineData("a fox", " fox ", "fox", "fox")]
    [InlineData("A tall robot made of tin.", null, "tall robot", "robot")]
    [InlineData("two small foxes", null, "two small foxes", "foxes")]
    public void The_subject_is_the_noun_phrase_and_the_noun_its_last_word_unless_given(
        string description, string? noun, string phrase, string expected)
    {
        var character = new Character("Kim", description) { Noun = noun };
        var story = new Story { Cast = [character], Scenes = [new("Kim, Kim")] }.ExpandCast();

        Assert.Equal([phrase], story.Subjects.Select(subject => subject.Phrase));
        Assert.EndsWith($", the {expected}", story.Scenes[0].Prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_two_characters_have_one_noun_the_noun_phrase_tells_them_apart()
    {
        var story = new Story
        {
            Cast = [new("Mia", MiaIs), new("Leo", "a white fox in boots")],
            Scenes = [new("Mia and Leo run; Mia wins, Leo laughs")],
        };

        Assert.Equal(
            "A small red fox with a blue scarf and a white fox in boots run; the small red fox wins, the white fox laughs",
            story.ExpandCast().Scenes[0].Prompt);
    }

    [Theory]
    [InlineData("two small foxes", "here is Mia's den, Mia’s tree", "here is two small foxes' den, the foxes’ tree")]
    [InlineData("A red fox in a hat.", "see Mia run. Mia's hat falls", "see a red fox in a hat run. The fox's hat falls")]
    [InlineData("The red fox,", "see Mia, Mia!", "see the red fox, the fox!")]
    [InlineData("An owl", "(Mia) and Mia", "(An owl) and the owl")]
    [InlineData("Arctic fox", "see Mia", "see Arctic fox")]
    [InlineData("Über-fox", "Mia", "Über-fox")]
    public void Descriptions_are_fitted_into_the_sentence(string description, string prompt, string expected) =>
        Assert.Equal(
            expected, new Story { Cast = [new("Mia", description)], Scenes = [new(prompt)] }.ExpandCast().Scenes[0].Prompt);

    /// <summary>Outside its region no word of a character is read, so that each must be one of its subject's.</summary>
    [Fact]
    public void A_character_that_is_placed_is_spoken_of_by_its_noun_phrase()
    {
        var story = Friends with
        {
            Cast = [Mia, James with { Noun = "tom" }],
            Scenes =
            [
                new("Mia runs, Mia jumps") { Subjects = [Mia.Subject().In(new RegionBox(0, 0, 0.5, 1))] },
                new("James, James, Mia, Mia")
                {
                    Subjects = [(James with { Noun = "tom" }).Subject().In(new RgbImage(1, 1, [255, 255, 255]))],
                },
                new("Mia, Mia") { Subjects = [Mia.Subject().At(new RgbImage(1, 1, [255, 255, 255]))] },
            ],
        };

        Assert.Equal(
            [
                "A small red fox with a blue scarf runs, the small red fox jumps",
                "An old gray cat that wears boots, the old gray cat, a small red fox with a blue scarf, the fox",
                "A small red fox with a blue scarf, the fox",
            ],
            story.ExpandCast().Scenes.Select(scene => scene.Prompt));
    }

    [Fact]
    public void A_state_follows_the_description_in_its_scene()
    {
        var story = Friends with
        {
            Scenes =
            [
                new("Mia at the beach with James. Mia jumps") { States = new Dictionary<string, string> { ["Mia"] = "in a raincoat" } },
                new("Mia"),
            ],
        };

        Assert.Equal(
            [
                "A small red fox with a blue scarf in a raincoat at the beach with an old gray cat that wears boots. The fox jumps",
                "A small red fox with a blue scarf",
            ],
            story.ExpandCast().Scenes.Select(scene => scene.Prompt));
    }

    [Fact]
    public void A_scene_lacks_whom_it_does_not_mention_unless_it_says_otherwise()
    {
        var mask = new RgbImage(1, 1, [255, 255, 255]);
        var story = Friends with
        {
            Subjects = ["a red ball"],
            Scenes =
            [
                new("Mia and James with a red ball"),
                new("a red ball before Mia"),
                new("a red ball") { Subjects = [Mia.Subject().At(mask), James.Subject().Absent()] },
            ],
        };
        var expanded = story.ExpandCast();

        Assert.Empty(expanded.Cast);
        Assert.Equal(["a red ball", "small red fox", "old gray cat"], expanded.Subjects.Select(subject => subject.Phrase));
        Assert.Empty(expanded.Scenes[0].Subjects);
        Assert.Equal([James.Subject().Absent()], expanded.Scenes[1].Subjects);
        Assert.Equal([Mia.Subject().At(mask), James.Subject().Absent()], expanded.Scenes[2].Subjects);
    }

    public static TheoryData<Story, string> Faults()
    {
        Scene both = new("Mia and James");
        return new()
        {
            { Friends with { Scenes = [both, new("Mia") { Subjects = [Mia.Subject().Absent()] }] }, "Scene 2 mentions \"Mia\", whom" },
            { Friends with { Scenes = [new("Mia")] }, "The character \"James\" is absent from every scene; leave it out." },
            {
                Friends with { Scenes = [both with { States = new Dictionary<string, string> { ["Leo"] = "x" } }] },
                "Scene 1 has a state for \"Leo\""
            },
            {
                Friends with { Scenes = [both, new("Mia") { States = new Dictionary<string, string> { ["James"] = "asleep" } }] },
                "Scene 2 has a state for \"James\", whom its prompt does not mention."
            },
            {
                Friends with { Scenes = [both with { States = new Dictionary<string, string> { ["Mia"] = "next to James" } }] },
                "Scene 1: written out, the prompt still has the name \"James\""
            },
            { Of(new Character("Mia", "a friend of Mia")), "has the name \"Mia\", which the model does not know" },
            { Of(new Character("Mia", "a fox"), new Character("Leo", "a bear") { Aliases = ["mia"] }), "the name \"mia\" is there twice" },
            { Of(new Character("Mia", " ")), "\"Mia\" has no description" },
            { Of(new Character("Mia!", "a fox")), "must begin and end with a letter or digit" },
            { Of(new Character("Mia", "in a raincoat")), "begins with no noun phrase" },
            { Of(new Character("Mia", "a fox") { Noun = "" }), "has an empty noun" },
            { Of(new Character("", "a fox")), "empty name" },
        };

        static Story Of(params Character[] cast) => new() { Cast = cast, Scenes = [new("Mia")] };
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_fault_is_told_in_words(Story story, string message) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(story.ExpandCast).Message, StringComparison.Ordinal);

    [Fact]
    public void A_story_without_cast_is_itself()
    {
        var story = new Story { Subjects = ["a fox"], Scenes = [new("Mia")] };
        Assert.Same(story, story.ExpandCast());
    }

    [Fact]
    public void A_cast_round_trips_through_JSON()
    {
        var story = Friends with
        {
            Cast = [Mia with { Noun = "vixen" }, James],
            Scenes = [new("Mia, James, Mia") { States = new Dictionary<string, string> { ["Mia"] = "in a raincoat" } }],
        };
        var read = JsonSerializer.Deserialize<Story>(JsonSerializer.Serialize(story))!;

        Assert.Equal(JsonSerializer.Serialize(story), JsonSerializer.Serialize(read));
        Assert.Equal(story.ExpandCast().Scenes[0].Prompt, read.ExpandCast().Scenes[0].Prompt);
        Assert.Equal(["the fox girl", "M. I. A"], read.Cast[0].Aliases);
    }

    /// <summary>Random prompts of names, words that hold names, and punctuation.</summary>
    [Fact]
    public void No_name_survives_the_rest_stays_and_writing_out_again_changes_nothing() => Gen.OneOf(
            "Mia", "Leo", "the twin", "Mia's", "Leo’s", "Miami", "Leo-like", "a", "Über-Mia", "mia", "x_Mia", "forest", "Mias", "O'Leo")
        .Select(Gen.OneOf(" ", ". ", ", ", "! \"", " (", ") ", "\n", " – ")).Array[0, 12].Sample(parts =>
        {
            Character[] cast = [new("Mia", "a red fox with a hat"), new("Leo", "an old bear") { Aliases = ["the twin"] }];
            var prompt = string.Concat(parts.Select(part => part.Item1 + part.Item2));
            var expansion = new CastExpansion(cast);
            var expanded = expansion.Expand(prompt, new Dictionary<string, string>());

            Assert.Empty(expansion.MentionedIn(expanded));
            Assert.Equal(expanded, expansion.Expand(expanded, new Dictionary<string, string>()));
            var met = new HashSet<string>();
            var expected = new StringBuilder();
            foreach (var (word, space) in parts)
            {
                expected.Append(
                    word switch
                    {
                        "Mia" => met.Add("Mia") ? "a red fox with a hat" : "the fox",
                        "Leo" or "the twin" => met.Add("Leo") ? "an old bear" : "the bear",
                        "Mia's" => met.Add("Mia") ? "a red fox with a hat's" : "the fox's",
                        "Leo’s" => met.Add("Leo") ? "an old bear’s" : "the bear’s",
                        _ => word,
                    }).Append(space);
            }

            // But for capitals, which the examples hold.
            Assert.Equal(expected.ToString(), expanded, ignoreCase: true);
        });

    [Fact]
    public void A_story_is_made_with_the_prompts_written_out_and_finds_the_characters()
    {
        var rabbit = new Character("Mia", "a yellow rabbit with a red scarf");
        var named = new Story { Cast = [rabbit], Scenes = [new("Mia standing in the forest"), new("see Mia waving")] };
        var written = new Story
        {
            Subjects = ["yellow rabbit"],
            Scenes =
            [
                new("A yellow rabbit with a red scarf standing in the forest"), new("see a yellow rabbit with a red scarf waving"),
            ],
        };
        var options = new StoryOptions { Request = new() { Steps = 4, Seed = 5 } };
        using var expected = model.Pipeline.GenerateStory(written, options);
        using var story = model.Pipeline.GenerateStory(named, options);

        TestSupport.TensorAssert.SameBits(expected.Latents, story.Latents);
        Assert.Equal(written.Scenes.Select(scene => scene.Prompt), story.Scenes.Select(scene => scene.Prompt));
        Assert.Equal(named.Scenes, story.Scenes.Select(scene => scene.Scene));
        Assert.All(story.Scenes, scene => Assert.Equal(rabbit.Subject(), Assert.Single(scene.Subjects).Subject));
        Assert.Contains("no subjects", Assert.Throws<ArgumentException>(() =>
            model.Pipeline.GenerateStory(new Story { Scenes = named.Scenes }, options)).Message, StringComparison.Ordinal);
    }
}
