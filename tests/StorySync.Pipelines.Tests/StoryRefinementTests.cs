using System.Text.Json;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Stories that begin from images, and finished ones that are drawn again from theirs.</summary>
public sealed class StoryRefinementTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private const int Side = 64;

    private static readonly Subject Bear = "a bear";

    private static readonly Story Tale = new()
    {
        Subjects = [Bear],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach"), new("a bear jumping in the snow") { Seed = 40 }],
    };

    private static readonly Scene[] Further =
        [new("a bear at home"), new("an old city") { Subjects = [Bear.Absent()] }, new("a bear, tired")];

    // Masks are there in the second step, which is the one that a half of the strength leaves.
    private static readonly StoryOptions Quick =
        new() { Request = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = Side, Width = Side } };

    private static readonly StoryOptions Large = Quick.With(r => r with { Height = 2 * Side, Width = 2 * Side, Strength = 0.5 });

    public static TheoryData<string> Models() => StoryBankTests.Models();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_story_is_refined_from_its_enlarged_images_with_its_seeds_and_masks(string model)
    {
        var pipeline = models.Get(model);
        using var small = pipeline.GenerateStory(Tale, Quick);
        using var large = pipeline.RefineStory(small, options: Large);
        using var byHand = pipeline.GenerateStory(
            Tale with
            {
                Scenes = [.. small.Scenes.Select(scene => scene.Scene with
                {
                    Seed = scene.Seed, Subjects = [Bear.At(scene.Subjects[0].Region!.ToImage(Side, Side))],
                })],
            },
            Large.With(r => r with { Images = [.. small.Scenes.Select(scene => scene.Image.Resize(2 * Side, 2 * Side))] }));

        TensorAssert.SameBits(byHand.Latents, large.Latents);
        Assert.Equal([5, 6, 40], large.Scenes.Select(scene => scene.Seed));
        Assert.All(large.Scenes, scene => Assert.Equal((2 * Side, 2 * Side), (scene.Image.Width, scene.Image.Height)));
        Assert.All(small.Scenes.Zip(large.Scenes), pair =>
        {
            Assert.Equal(pair.First.Prompt, pair.Second.Prompt);
            Assert.Equal(Mask(pair.First).Pixels, Mask(pair.Second).Pixels);
        });
        Assert.Null(large.Bank);

        static RgbImage Mask(SceneResult scene) => scene.Subjects[0].Region!.ToImage(2 * Side, 2 * Side);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Without_techniques_the_latents_are_the_plain_pipelines_from_the_same_images(string model)
    {
        var pipeline = models.Get(model);
        using var small = pipeline.GenerateStory(Tale, Quick);
        using var large = pipeline.RefineStory(small, options: Large with { Techniques = Attention.StoryAttentionOptions.Disabled });
        using var shared = pipeline.RefineStory(small, options: Large);
        using var plain = pipeline.Generate(Large.Request! with
        {
            Prompts = [.. Tale.Scenes.Select(scene => scene.Prompt)],
            Images = [.. small.Scenes.Select(scene => scene.Image)],
            Seed = null,
            Seeds = [5, 6, 40],
            LatentsOnly = true,
        });

        TensorAssert.SameBits(plain.Latents, large.Latents);
        Assert.False(plain.Latents.SameBitsAs(shared.Latents));
    }

    /// <summary>The less of the steps is run, the nearer are the latents to those of the enlarged images.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void A_small_strength_stays_near_the_enlarged_images(string model)
    {
        var pipeline = models.Get(model);
        var steps = Large.With(r => r with { Steps = 10 });
        using var scope = NewDisposeScope();
        using var small = pipeline.GenerateStory(Tale, Quick.With(r => r with { Steps = 4 }));
        var clean = cat([.. small.Scenes.Select(scene =>
        {
            using var generator = new Generator((ulong)scene.Seed, CPU);
            return pipeline.EncodeImages(
                scene.Image.Resize(2 * Side, 2 * Side).ToTensor(), like => randn(like.shape, generator: generator), CancellationToken.None);
        })]);
        double[] distances = [.. new[] { 0.1, 0.5, 1 }.Select(strength =>
        {
            using var large = pipeline.RefineStory(small, options: steps.With(r => r with { Strength = strength }));
            return (large.Latents - clean).square().mean().sqrt().ToDouble() / clean.std().ToDouble();
        })];

        Assert.True(1.5 * distances[0] < distances[1] && distances[1] < distances[2], string.Join(", ", distances));
        Assert.True(distances[0] < 0.75, string.Join(", ", distances));
    }

    /// <summary>What a scene without the subject shows is in no mask.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void Scenes_read_the_subject_in_each_others_images_and_nothing_else(string model)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var one = Draw(Bear.At(Box(0, 32)), 3);
        var other = Draw(Bear.At(Box(0, 32)), 9);
        var lacking = Draw(Bear.Absent(), 3);
        var lackingOther = Draw(Bear.Absent(), 9);

        Assert.False(one[0].SameBitsAs(other[0]));
        TensorAssert.SameBits(lacking[0], lackingOther[0]);
        Assert.False(lacking[1].SameBitsAs(lackingOther[1]));

        Tensor Draw(SceneSubject second, int seed)
        {
            using var result = pipeline.GenerateStory(
                Tale with
                {
                    Scenes =
                    [
                        Tale.Scenes[0] with { Subjects = [Bear.At(Box(16, 64))] },
                        new("a bear at the beach") { Subjects = [second] },
                    ],
                },
                Quick.With(r => r with { Images = [Painted(1), Painted(seed)], Strength = 0.5 }));
            return result.Latents.clone();
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Refined_scenes_that_read_anchors_have_the_same_bits_in_every_batch_and_order(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var tale = Tale with { Scenes = [.. Tale.Scenes, .. Further] };
        using var small = pipeline.GenerateStory(tale, Quick with { Anchors = 2 });
        using var large = pipeline.RefineStory(small, options: Large with { BatchSize = 3 });
        using var anchors = pipeline.GenerateStory(
            small.ToStory() with { Scenes = [.. small.ToStory().Scenes.Take(2)] },
            Large.With(r => r with { Images = [.. small.Scenes.Take(2).Select(scene => scene.Image)] }));
        TensorAssert.SameBits(anchors.Latents, large.Latents.narrow(0, 0, 2));
        large.Bank!.Save(folder.PathOf("a.storybank"));
        using var bank = StoryBank.Load(folder.PathOf("a.storybank"));
        Assert.Equal(0.5, bank.Card.Request.Strength);

        var scenes = small.ToStory().Scenes.Skip(2).ToArray();
        var random = new Random(3);
        foreach (var size in new int?[] { 1, 2, null })
        {
            int[] order = [.. Enumerable.Range(0, scenes.Length)];
            random.Shuffle(order);
            using var drawn = pipeline.GenerateScenes(
                bank,
                [.. order.Select(i => scenes[i])],
                new() { Request = new() { Images = [.. order.Select(i => small.Scenes[2 + i].Image)] }, BatchSize = size });
            foreach (var (place, scene) in order.Index())
            {
                TensorAssert.SameBits(large.Latents.narrow(0, 2 + scene, 1), drawn.Latents.narrow(0, place, 1));
            }
        }
    }

    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public void A_banks_anchors_can_be_enlarged_from_their_portraits(string model)
    {
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Tale, Quick);
        using var scenes = pipeline.GenerateScenes(bank, Further);
        using var large = pipeline.CreateBank(bank.Card.Story, new()
        {
            Request = bank.Card.Request with { Images = bank.Portraits, Strength = 0.5, Height = 2 * Side, Width = 2 * Side },
            Techniques = bank.Card.Techniques,
        });
        using var refined = pipeline.GenerateScenes(
            large, scenes.ToStory().Scenes, new() { Request = new() { Images = [.. scenes.Scenes.Select(scene => scene.Image)] } });

        Assert.Equal(bank.Card.Seeds, large.Card.Seeds);
        Assert.Equal(scenes.Scenes.Select(scene => scene.Seed), refined.Scenes.Select(scene => scene.Seed));
        Assert.All(refined.Scenes, scene => Assert.Equal((2 * Side, 2 * Side), (scene.Image.Width, scene.Image.Height)));
        Assert.Null(refined.Scenes[1].Subjects[0].Region);
    }

    /// <summary>The found mask of an image is of a model's grid, whose sides are rounded up.</summary>
    [Theory]
    [InlineData(72, 64, 5, 4)]
    [InlineData(88, 104, 6, 7)]
    public void A_banks_images_can_be_enlarged_at_odd_sizes(int width, int height, int columns, int rows)
    {
        using var pipeline = LoadedModels.Load("tiny-sdxl");
        var image = new RgbImage(40, 30, [.. Enumerable.Range(0, 3600).Select(i => (byte)(i * 7))]);
        var tale = Tale with { Scenes = [new Scene("a bear") { Image = image }, Tale.Scenes[0]] };
        using var bank = pipeline.CreateBank(tale, Quick.With(r => r with { Width = width, Height = height }));
        var mask = bank.Card.Story.Scenes[0].Subjects[0].Mask!;
        Assert.Equal((columns, rows), (mask.Width, mask.Height));
        using var large = pipeline.CreateBank(bank.Card.Story, Quick.With(r => r with
        {
            Images = bank.Portraits, Strength = 0.5, Width = 2 * width, Height = 2 * height,
        }));

        Assert.Equal((2 * width, 2 * height), (large.Portraits[0].Width, large.Portraits[0].Height));
        var other = bank.Card.Story with
        {
            Scenes = [tale.Scenes[1] with { Subjects = [Bear.At(new RgbImage(columns + 1, rows, new byte[3 * (columns + 1) * rows]))] }],
        };
        Assert.Contains("proportions", Assert.Throws<ArgumentException>(() =>
            pipeline.CreateBank(other, Quick.With(r => r with { Width = width, Height = height }))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Another_style_keeps_masks_and_a_cast_keeps_its_absences(string model)
    {
        var pipeline = models.Get(model);
        var story = new Story
        {
            Cast = [new Character("Mia", "a small bear with a scarf"), new Character("Tom", "an old man")],
            Scenes =
            [
                new("Mia in the forest, Mia's ball") { States = new Dictionary<string, string> { ["Mia"] = "in a raincoat" } },
                new("Tom at home"),
                new("Mia and Tom at the beach"),
            ],
        };
        using var first = pipeline.GenerateStory(story, Quick);
        var told = first.ToStory();
        Assert.Equal("A small bear with a scarf in a raincoat in the forest, the bear's ball", told.Scenes[0].Prompt);
        var painted = told with { Scenes = [.. told.Scenes.Select(scene => scene with { Prompt = $"{scene.Prompt}, in watercolor" })] };
        using var same = pipeline.RefineStory(first, options: Quick.With(r => r with { Strength = 0.5 }));
        using var other = pipeline.RefineStory(first, painted, Quick.With(r => r with { Strength = 0.5 }));

        Assert.False(same.Latents.SameBitsAs(other.Latents));
        Assert.All(first.Scenes.Zip(same.Scenes, other.Scenes), scenes =>
        {
            Assert.Equal(scenes.First.Prompt, scenes.Second.Prompt);
            Assert.Equal($"{scenes.First.Prompt}, in watercolor", scenes.Third.Prompt);
            Assert.Equal(Masks(scenes.First), Masks(scenes.Second));
            Assert.Equal(Masks(scenes.First), Masks(scenes.Third));
        });
        Assert.Null(other.Scenes[0].Subjects[1].Region);
        Assert.NotNull(other.Scenes[2].Subjects[1].Region);

        // The result is plain data: what comes back from JSON can be drawn again too.
        using var kept = JsonSerializer.Deserialize<StoryResult>(JsonSerializer.Serialize(first))!;
        using var again = pipeline.RefineStory(kept, options: Quick.With(r => r with { Strength = 0.5 }));
        TensorAssert.SameBits(same.Latents, again.Latents);

        IEnumerable<byte[]?> Masks(SceneResult scene)
        {
            // One that was not found is looked for again.
            var place = first.Scenes.Concat(same.Scenes).Concat(other.Scenes).TakeWhile(one => one != scene).Count() % 3;
            return scene.Subjects.Where((_, s) => first.Scenes[place].Subjects[s].Region is not { Area: 0 })
                .Select(subject => subject.Region?.ToImage(Side, Side).Pixels.ToArray());
        }
    }

    [Fact]
    public void A_picture_of_ones_own_stays_itself_and_a_place_becomes_where_the_subject_is()
    {
        var pipeline = models.Get("tiny-sdxl");
        var story = Tale with
        {
            Scenes =
            [
                new("a photo of a bear") { Image = Painted(4) },
                new("a bear in the forest") { Subjects = [Bear.In(new RegionBox(0, 0, 0.5, 1))] },
                new("a bear at home") { Subjects = [Bear.At(Box(0, 24))] },
            ],
        };
        using var small = pipeline.GenerateStory(story, Quick with { Anchors = 1 });
        var told = small.ToStory();
        Assert.Same(story.Scenes[0].Image, told.Scenes[0].Image);
        Assert.Null(told.Scenes[1].Subjects[0].Region);
        Assert.NotNull(told.Scenes[1].Subjects[0].Mask);
        Assert.Same(story.Scenes[2].Subjects[0].Mask, told.Scenes[2].Subjects[0].Mask);
        using var large = pipeline.RefineStory(small, options: Large);
        Assert.Equal(Painted(4).Resize(2 * Side, 2 * Side).Pixels, large.Scenes[0].Image.Pixels);
        Assert.Empty(large.Warnings);
        Assert.NotNull(large.Bank);
    }

    [Fact]
    public void What_cannot_be_refined_is_said()
    {
        var pipeline = models.Get("tiny-sdxl");
        using var small = pipeline.GenerateStory(Tale, Quick);
        Refuse("The replacement has 2 scenes, the story 3", Tale with { Scenes = [.. Tale.Scenes.Take(2)] }, Large);
        Refuse("StoryOptions.Request has Images", null, Large.With(r => r with { Images = [Painted(1)] }));
        Refuse("Scene 1: a mask is 64×64, the image 128×64", null, Large.With(r => r with { Height = Side }));
        Refuse("a strength of 0.1 leaves none", null, Large.With(r => r with { Strength = 0.1 }));

        void Refuse(string what, Story? replacement, StoryOptions options) => Assert.Contains(
            what,
            Assert.ThrowsAny<ArgumentException>(() => pipeline.RefineStory(small, replacement, options)).Message,
            StringComparison.Ordinal);
    }

    /// <summary>A disc on a gradient.</summary>
    private static RgbImage Painted(int seed)
    {
        var pixels = new byte[Side * Side * 3];
        for (var i = 0; i < Side * Side; i++)
        {
            var (x, y) = (i % Side, i / Side);
            var inside = Math.Pow(x - 30, 2) + Math.Pow(y - 34, 2) < 300;
            (pixels[3 * i], pixels[(3 * i) + 1], pixels[(3 * i) + 2]) =
                inside ? ((byte)(25 * seed), (byte)180, (byte)(90 + seed)) : ((byte)(2 * x), (byte)(3 * y), (byte)(seed * 20));
        }

        return new RgbImage(Side, Side, pixels);
    }

    private static RgbImage Box(int from, int to)
    {
        var pixels = new byte[Side * Side * 3];
        for (var i = 0; i < Side * Side; i++)
        {
            if (i % Side >= from && i % Side < to && i / Side >= from && i / Side < to)
            {
                pixels.AsSpan(3 * i, 3).Fill(byte.MaxValue);
            }
        }

        return new RgbImage(Side, Side, pixels);
    }
}

/// <summary>What stories that begin from images leave.</summary>
[Collection(typeof(AloneCollection))]
public sealed class StoryRefinementMemoryTests
{
    [Theory]
    [InlineData("tiny-sdxl")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public void A_refined_story_leaves_no_tensor(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        var story = new Story { Subjects = ["a bear"], Scenes = [new("a bear in the forest"), new("a bear"), new("a bear at home")] };
        var options = new StoryOptions { Request = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64 } };
        LiveTensors.AssertNoneLeft(() =>
        {
            using var small = pipeline.GenerateStory(story, options with { Anchors = 2 });
            using var large = pipeline.RefineStory(small, options: options.With(r => r with { Strength = 0.5, Height = 128, Width = 128 }));
            using var together = pipeline.RefineStory(small, options: options.With(r => r with { Strength = 0.5 }) with { Anchors = null });
            using var drawn = pipeline.GenerateScenes(
                large.Bank!, [small.ToStory().Scenes[2]], new() { Request = new() { Images = [small.Scenes[2].Image] } });
        });
    }
}
