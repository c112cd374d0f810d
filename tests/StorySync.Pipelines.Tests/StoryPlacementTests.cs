using System.Text.Json;
using StorySync.Attention;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Subjects that are given regions, and scenes that name a location.</summary>
public sealed class StoryPlacementTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private static readonly Subject Bear = new("a bear");

    private static readonly RegionBox Left = new(0, 0, 0.5, 1);
    private static readonly RegionBox Right = new(0.5, 0, 0.5, 1);

    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64 };

    private static readonly Scene Forest = new("a bear standing in the forest") { Seed = 3 };
    private static readonly Scene Beach = new("a bear waving at the beach") { Seed = 8 };
    private static readonly Scene Snow = new("a bear jumping in the snow") { Seed = 21 };

    public static TheoryData<string> Models() => StoryBankTests.Models();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_region_is_of_its_scene_alone_and_the_whole_image_is_none(string model)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var placement = StoryAttentionOptions.Disabled with { Placement = new() };
        var plain = Draw(Forest, Beach);
        var left = Draw(In(Forest, Left), Beach);

        Assert.False(plain[0].SameBitsAs(left[0]));
        TensorAssert.SameBits(plain[1], left[1]);
        Assert.False(left[0].SameBitsAs(Draw(In(Forest, Right), Beach)[0]));
        TensorAssert.SameBits(plain, Draw(In(Forest, new(0, 0, 1, 1)), Beach));
        TensorAssert.SameBits(left, Draw(Forest with { Subjects = [Bear.In(LeftOf(8))] }, Beach));
        TensorAssert.SameBits(left.narrow(0, 0, 1), Draw(In(Forest, Left)));

        Tensor Draw(params Scene[] scenes)
        {
            using var result = pipeline.GenerateStory(
                new() { Subjects = [Bear], Scenes = scenes }, new() { Request = For(model), Techniques = placement });
            Assert.Empty(result.Warnings);
            return result.Latents.clone();
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Scenes_of_a_bank_can_be_placed_and_be_where_an_anchor_is(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var options = new StoryOptions { Request = For(model) };
        var anchors = new Story
        {
            Subjects = [Bear],
            Scenes = [In(Forest, Right) with { Location = "the forest" }, Beach with { Location = "the forest" }],
        };
        Scene placed = In(Snow, Left);
        var located = Snow with { Location = "the forest" };
        var both = new Scene("a bear at home") { Location = "the forest", Subjects = [Bear.In(LeftOf(64))], Seed = 4 };
        using var bank = pipeline.CreateBank(anchors, options);
        bank.Save(folder.PathOf("a.storybank"));
        using var loaded = StoryBank.Load(folder.PathOf("a.storybank"));
        var alone = new[] { Snow, placed, located, both }.Select(scene => Draw(bank, scene)).ToList();
        var together = Draw(loaded, both, located, Snow, placed);

        Assert.Equal(4, alone.Select(latents => Convert.ToHexString(latents.bytes)).Distinct().Count());
        foreach (var (scene, place) in new[] { (0, 2), (1, 3), (2, 1), (3, 0) })
        {
            TensorAssert.SameBits(alone[scene], together.narrow(0, place, 1));
        }

        using var story = pipeline.GenerateStory(
            anchors with { Scenes = [.. anchors.Scenes, both, placed] }, options with { Anchors = 2, BatchSize = 1 });
        TensorAssert.SameBits(alone[3], story.Latents.narrow(0, 2, 1));
        TensorAssert.SameBits(alone[1], story.Latents.narrow(0, 3, 1));

        Tensor Draw(StoryBank from, params Scene[] scenes)
        {
            using var result = pipeline.GenerateScenes(from, scenes);
            Assert.DoesNotContain(result.Warnings, told => told.Message.StartsWith("Scene", StringComparison.Ordinal));
            return result.Latents.clone();
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_location_is_of_its_scenes_alone(string model)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var plain = Draw(null, null, null);
        var shared = Draw("the harbour", null, "the harbour");

        Assert.False(plain[0].SameBitsAs(shared[0]));
        TensorAssert.SameBits(plain[1], shared[1]);
        Assert.False(plain[2].SameBitsAs(shared[2]));
        TensorAssert.SameBits(shared, Draw("the pier", "the woods", "the pier"));

        Tensor Draw(params string?[] locations)
        {
            using var result = pipeline.GenerateStory(
                new() { Subjects = [Bear], Scenes = [.. new[] { Forest, Beach, Snow }.Zip(locations, (s, l) => s with { Location = l })] },
                new() { Request = For(model), Techniques = StoryAttentionOptions.Disabled with { Location = new() } });
            Assert.Equal(locations.Contains("the woods") ? 1 : 0, result.Warnings.Count);
            return result.Latents.clone();
        }
    }

    /// <summary>Where the words are read: the embedded model's image itself does not follow.</summary>
    [Fact]
    public void Two_subjects_are_found_in_their_halves()
    {
        var pipeline = models.Get("storybook");
        var cat = new Subject("a cat");
        var (bearLeft, catRight) = Centers(Left, Right);
        var (bearRight, catLeft) = Centers(Right, Left);
        Assert.InRange(bearLeft, 0, 0.49);
        Assert.InRange(catLeft, 0, 0.49);
        Assert.InRange(bearRight, 0.51, 1);
        Assert.InRange(catRight, 0.51, 1);

        (double Bear, double Cat) Centers(RegionBox bear, RegionBox other)
        {
            var story = new Story
            {
                Subjects = [Bear, cat],
                Scenes = [new("a bear and a cat at the beach") { Subjects = [Bear.In(bear), cat.In(other)] }],
            };
            using var result = pipeline.GenerateStory(story, new() { Request = new() { Seed = 42, Steps = 10 } });
            var found = result.Scenes[0].Subjects;
            return (Center(found[0].Region!), Center(found[1].Region!));
        }

        static double Center(SubjectRegion region) => Enumerable.Range(0, region.Cells.Length).Where(i => region.Cells[i])
            .Average(i => ((i % region.Width) + 0.5) / region.Width);
    }

    public static TheoryData<string, Scene> Mistakes() => new()
    {
        { "neither phrase nor mask nor region", new("a cat") { Subjects = [Bear.Absent() with { Region = Left }] } },
        { "neither phrase nor mask nor region", new("a cat") { Subjects = [Bear.Absent() with { RegionMask = LeftOf(64) }] } },
        { "a Region and a RegionMask; give one", Forest with { Subjects = [Bear.In(Left) with { RegionMask = LeftOf(64) }] } },
        { "a region is 64×32, the image 64×64", Forest with { Subjects = [Bear.In(new RgbImage(64, 32, new byte[64 * 32 * 3]))] } },
        { "the region of \"a bear\" has no white", Forest with { Subjects = [Bear.In(new RgbImage(8, 8, new byte[8 * 8 * 3]))] } },
        { "If the scene has other words", new("a cat") { Subjects = [Bear.In(Left) with { Mask = LeftOf(64) }] } },
        { "an empty Location", Forest with { Location = " " } },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_one_clear_error_before_any_work(string what, Scene scene)
    {
        var pipeline = models.Get("storybook");
        var error = Assert.Throws<ArgumentException>(
            () => pipeline.GenerateStory(new() { Subjects = [Bear], Scenes = [Beach, scene] }, new() { Request = Quick }));
        Assert.StartsWith("Scene 2", error.Message, StringComparison.Ordinal);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_placed_in_a_picture()
    {
        var pipeline = models.Get("storybook");
        var scene = In(Forest, Left) with { Image = LeftOf(64) };
        var error = Assert.Throws<ArgumentException>(
            () => pipeline.CreateBank(new() { Subjects = [Bear], Scenes = [scene] }, new() { Request = Quick }));
        Assert.Contains("nothing can be placed", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-0.1, 0, 0.5, 1)]
    [InlineData(0.6, 0, 0.5, 1)]
    [InlineData(0, 0.1, 1, 0.91)]
    [InlineData(0, 0, 0, 1)]
    [InlineData(0, 0, 1, double.NaN)]
    public void A_box_outside_the_image_is_refused(double left, double top, double width, double height) => Assert.Contains(
        "is not within the image",
        Assert.Throws<ArgumentException>(() => new RegionBox(left, top, width, height)).Message,
        StringComparison.Ordinal);

    [Fact]
    public void A_box_takes_the_pixels_whose_middle_it_has()
    {
        using var mask = new RegionBox(0.3, 0.5, 0.7, 0.25).ToMask(4, 8);
        Assert.Equal(
            Enumerable.Range(0, 32).Select(i => i % 4 >= 1 && i / 4 is 4 or 5 && i % 4 >= 1), mask.data<bool>().ToArray());
    }

    [Fact]
    public void What_has_no_effect_is_told()
    {
        var pipeline = models.Get("tiny-sdxl");
        var here = Beach with { Location = "here" };
        var options = new StoryOptions { Request = Quick };
        Story Of(params Scene[] scenes) => new() { Subjects = [Bear], Scenes = scenes };

        Told(Of(Forest, here), options, "Scene 2: no other scene has the location \"here\"");
        Told(Of(Forest, here), options with { Anchors = 1 }, "Scene 2: no anchor has the location \"here\"");
        Told(Of(here, Forest with { Location = "here" }), options with { Anchors = 1 });
        Told(Of(here, Forest), options with { Anchors = 1 });
        Told(Of(In(Forest, new(0.5, 0.5, 0.01, 0.01)), In(Beach, Left)), options, "Scene 1: the region of \"a bear\" is smaller than");
        Told(Of(In(Forest, Left)), options with { Techniques = StoryAttentionOptions.Disabled }, "Techniques.Placement is off");
        Told(Of(here, here), options with { Techniques = StoryAttentionOptions.Disabled }, "Techniques.Location is off");

        void Told(Story story, StoryOptions with, params string[] messages)
        {
            using var result = pipeline.GenerateStory(story, with);
            var told = result.Warnings.Where(warning => warning.Code == GenerationWarningCode.OptionWithoutEffect).ToList();
            Assert.Equal(messages.Length, told.Count);
            Assert.All(messages.Zip(told), pair => Assert.StartsWith(pair.First, pair.Second.Message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Regions_and_locations_come_back_from_JSON()
    {
        var scene = Forest with { Location = "here", Subjects = [Bear.In(new RegionBox(0.1, 0.2, 0.3, 0.4))] };
        var back = JsonSerializer.Deserialize<Scene>(JsonSerializer.Serialize(scene))!;
        Assert.Equal(scene, back with { Subjects = scene.Subjects, States = scene.States });
        Assert.Equal(scene.Subjects, back.Subjects);

        var mask = JsonSerializer.Deserialize<SceneSubject>(JsonSerializer.Serialize(Bear.In(LeftOf(4))))!.RegionMask!;
        Assert.Equal(LeftOf(4).Pixels.ToArray(), mask.Pixels.ToArray());
        Assert.ThrowsAny<Exception>(() => JsonSerializer.Deserialize<RegionBox>("""{"Left":0.9,"Top":0,"Width":0.5,"Height":1}"""));
    }

    private static GenerationRequest For(string model) => model == "tiny-flux" ? Quick with { GuidanceScale = null } : Quick;

    private static Scene In(Scene scene, RegionBox region) => scene with { Subjects = [Bear.In(region)] };

    private static RgbImage LeftOf(int side) =>
        new(side, side, [.. Enumerable.Range(0, side * side * 3).Select(i => (byte)(i / 3 % side < side / 2 ? 255 : 0))]);

    [Collection(typeof(AloneCollection))]
    public sealed class Memory
    {
        [Fact]
        public void A_placed_story_leaves_no_tensor_behind()
        {
            using var pipeline = LoadedModels.Load("tiny-sdxl");
            var story = new Story
            {
                Subjects = [Bear], Scenes = [In(Forest, Left) with { Location = "here" }, In(Beach, Right) with { Location = "here" }],
            };
            LiveTensors.AssertNoneLeft(() => pipeline.GenerateStory(story, new() { Request = Quick }).Dispose());
        }
    }
}
