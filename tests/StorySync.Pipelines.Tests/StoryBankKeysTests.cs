using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Banks of keys give what banks of trajectories give, with no anchor computed.</summary>
public sealed class StoryBankKeysTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private static readonly Subject Bear = new("a bear");

    private static readonly Story Anchors = new()
    {
        Subjects = [Bear],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly Scene[] Further =
    [
        new("a bear reading in the library") { Seed = 11 },
        new("a bear running through the snow") { Seed = 3 },
        new("an old city") { Seed = 6, Subjects = [Bear.Absent()] },
        new("the forest, and a bear") { Seed = 90 },
    ];

    // Masks are there in the second step.
    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64 };

    public static TheoryData<string> Models() => StoryBankTests.Models();

    [Theory]
    [MemberData(nameof(Models))]
    public void Scenes_have_the_bits_that_they_have_with_the_anchors_among_them(string model)
    {
        var pipeline = models.Get(model);
        var options = new StoryOptions { Request = Quick, Techniques = new() { Sharing = new() { Dropout = 0.3 } } };
        using var trajectory = pipeline.CreateBank(Anchors, options);
        using var keys = pipeline.CreateBank(Anchors, options with { BankForm = StoryBankForm.Keys });
        using var scope = NewDisposeScope();
        using var expected = pipeline.GenerateScenes(trajectory, Further);
        using var together = pipeline.GenerateScenes(keys, Further);

        TensorAssert.SameBits(expected.Latents, together.Latents);
        Assert.Equal(expected.Scenes.Select(scene => scene.Consistency), together.Scenes.Select(scene => scene.Consistency));
        foreach (var (i, scene) in Further.Index())
        {
            using var alone = pipeline.GenerateScenes(keys, [scene]);
            TensorAssert.SameBits(expected.Latents.narrow(0, i, 1), alone.Latents);
        }

        using var backwards = pipeline.GenerateScenes(keys, [.. Further.Reverse()], new() { BatchSize = 3 });
        TensorAssert.SameBits(expected.Latents.flip(0), backwards.Latents);
        using var unread = pipeline.GenerateStory(Anchors with { Scenes = Further[..1] }, options);
        Assert.False(unread.Latents[0].SameBitsAs(together.Latents[0]));
    }

    /// <summary>Without a negative half and with no anchor among them, a scene drawn alone is the one row of its batch; at this size the
    /// UNets' lowest levels have one pixel.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void A_scene_that_is_the_one_row_of_its_batch_has_the_bits_that_it_has_among_others(string model)
    {
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Anchors, new()
        {
            Request = Quick with { GuidanceScale = 0 }, BankForm = StoryBankForm.Keys, Techniques = new() { Layout = new() { Until = 0 } },
        });
        using var together = pipeline.GenerateScenes(bank, Further);
        foreach (var (i, scene) in Further.Index())
        {
            using var alone = pipeline.GenerateScenes(bank, [scene]);
            TensorAssert.SameBits(together.Latents.narrow(0, i, 1), alone.Latents);
            Assert.Equal(together.Scenes[i].Consistency, alone.Scenes[0].Consistency);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Places_regions_and_several_subjects_are_read_alike(string model)
    {
        var pipeline = models.Get(model);
        var boat = new Subject("a boat");
        var anchors = new Story
        {
            Subjects = [Bear, boat],
            Scenes =
            [
                new("a bear on a boat in the harbour") { Location = "the harbour", Subjects = [Bear.In(new RegionBox(0, 0, 0.5, 1))] },
                new("a bear at the beach") { Subjects = [boat.Absent()] },
                new("a boat in the harbour") { Location = "the harbour", Subjects = [Bear.Absent()] },
            ],
        };
        Scene[] scenes =
        [
            new("a bear in the harbour, at night") { Seed = 4, Location = "the harbour", Subjects = [boat.Absent()] },
            new("a bear next to a boat") { Seed = 8, Subjects = [Bear.In(new RegionBox(0.5, 0, 0.5, 1))] },
            new("a boat in the harbour, in the rain") { Seed = 2, Location = "the harbour", Subjects = [Bear.Absent()] },
        ];
        var options = new StoryOptions { Request = Quick, Techniques = new() { Location = new() { Alpha = 0.3 } } };
        using var trajectory = pipeline.CreateBank(anchors, options);
        using var keys = pipeline.CreateBank(anchors, options with { BankForm = StoryBankForm.Keys });
        using var expected = pipeline.GenerateScenes(trajectory, scenes);
        using var actual = pipeline.GenerateScenes(keys, scenes);
        TensorAssert.SameBits(expected.Latents, actual.Latents);
        Assert.Equal(expected.Warnings, actual.Warnings);

        using var elsewhere = pipeline.GenerateScenes(keys, [scenes[0] with { Location = null }]);
        Assert.False(elsewhere.Latents[0].SameBitsAs(actual.Latents[0]));
    }

    /// <summary>Before masks are found nobody knows what belongs to no subject, but of scenes with a region or without subjects.</summary>
    [Theory]
    [InlineData("tiny-sdxl")]
    [InlineData("tiny-flux")]
    public void A_scene_is_where_it_is_whatever_is_known_of_others(string model)
    {
        var pipeline = models.Get(model);
        var anchors = Anchors with { Scenes = [Anchors.Scenes[0] with { Location = "home" }, Anchors.Scenes[1]] };
        var empty = anchors with { Scenes = [.. anchors.Scenes, new("an old house") { Location = "home", Subjects = [Bear.Absent()] }] };
        Scene[] scenes =
        [
            Further[0] with { Location = "home" },
            Further[1] with { Location = "home", Subjects = [Bear.In(new RegionBox(0, 0, 0.5, 1))] },
            Further[2] with { Location = "home" },
        ];
        foreach (var story in new[] { anchors, empty })
        {
            foreach (var form in Enum.GetValues<StoryBankForm>())
            {
                using var bank = pipeline.CreateBank(story, new() { Request = Quick, BankForm = form });
                using var together = pipeline.GenerateScenes(bank, scenes);
                foreach (var (i, scene) in scenes.Index())
                {
                    using var alone = pipeline.GenerateScenes(bank, [scene]);
                    TensorAssert.SameBits(alone.Latents, together.Latents.narrow(0, i, 1));
                }
            }
        }
    }

    /// <summary>As a trajectory one anchor has an unmodified branch when it is computed along, and none when it is made.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void One_anchor_is_read_with_the_same_result_but_for_rounding(string model)
    {
        var pipeline = models.Get(model);
        var options = new StoryOptions { Request = Quick, Techniques = new() { Layout = new() { Until = 0.5 } } };
        var one = Anchors with { Scenes = Anchors.Scenes.Take(1).ToList() };
        using var trajectory = pipeline.CreateBank(one, options);
        using var keys = pipeline.CreateBank(one, options with { BankForm = StoryBankForm.Keys });
        using var expected = pipeline.GenerateScenes(trajectory, Further[..1]);
        using var actual = pipeline.GenerateScenes(keys, Further[..1]);
        TensorAssert.Close(expected.Latents, actual.Latents, 1e-4);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Keys_come_back_from_their_file(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick, BankForm = StoryBankForm.Keys });
        var (first, second) = (folder.PathOf("a.storybank"), folder.PathOf("b.storybank"));
        bank.Save(first);
        using var loaded = StoryBank.Load(first);
        loaded.Save(second);

        Assert.Equal(File.ReadAllBytes(first), File.ReadAllBytes(second));
        Assert.Equal(StoryBankForm.Keys, loaded.Card.Form);
        Assert.Equal(bank.Describe(), loaded.Describe());
        Assert.Contains("of keys in Float32", loaded.Describe(), StringComparison.Ordinal);
        Assert.Equal(bank.Bytes, loaded.Bytes);
        using var fresh = LoadedModels.Load(model);
        using var expected = pipeline.GenerateScenes(bank, Further[..2]);
        using var actual = fresh.GenerateScenes(loaded, Further[..2]);
        TensorAssert.SameBits(expected.Latents, actual.Latents);
    }

    [Fact]
    public void A_damaged_file_of_keys_gives_one_error_that_names_it()
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get("tiny-sdxl");
        using var bank = pipeline.CreateBank(
            Anchors, new() { Request = Quick, BankForm = StoryBankForm.Keys, BankKeysDtype = ScalarType.Float16 });
        var path = folder.PathOf("a.storybank");
        bank.Save(path);
        StoryBankTests.RefusesEveryDamage(path, 60);
    }

    /// <summary>What is kept of a step are the tokens of the masks then in force; those of the last step are in the bank.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void Only_tokens_of_subjects_are_kept(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick, BankForm = StoryBankForm.Keys });
        bank.Save(folder.PathOf("a"));
        using var file = SafetensorsFile.Open(folder.PathOf("a"));
        using var scope = NewDisposeScope();
        var masks = Enumerable.Range(0, 2).Select(anchor => file.Read($"masks.{anchor}.0")).ToList();
        var seen = 0;
        foreach (var name in file.Tensors.Keys.Where(name => name.StartsWith("tokens.1.", StringComparison.Ordinal)))
        {
            var layer = pipeline.AttentionProcessors.Layers.Single(layer => name.EndsWith($".{layer.Path}", StringComparison.Ordinal));
            if (pipeline.ImageTokens(layer, 64, 64) != masks[0].numel())
            {
                continue;
            }

            int[][] expected = [.. masks.Select(mask =>
                mask.flatten().nonzero().flatten().data<long>().Select(place => (int)place).ToArray())];
            Assert.Equal(
                [2, 1, expected[0].Length, expected[1].Length, .. expected[0], .. expected[1]], file.Read(name).data<int>().ToArray());
            var keys = file.Read(name.Replace("tokens.", "keys.", StringComparison.Ordinal));
            Assert.Equal([expected[0].Length + expected[1].Length, layer.Heads, layer.HeadWidth], keys.shape[1..]);
            seen++;
        }

        Assert.True(seen > 0);
    }

    [Fact]
    public void Where_the_negative_half_reads_nothing_nothing_is_kept_of_it()
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get("tiny-kandinsky3");
        Assert.Contains(".conditional.", Names(null), StringComparison.Ordinal);
        Assert.DoesNotContain(".unconditional.", Names(null), StringComparison.Ordinal);
        Assert.Contains(".unconditional.", Names(true), StringComparison.Ordinal);

        string Names(bool? negativeHalf)
        {
            using var bank = pipeline.CreateBank(
                Anchors,
                new() { Request = Quick, BankForm = StoryBankForm.Keys, Techniques = new() { NegativeHalf = negativeHalf } });
            bank.Save(folder.PathOf("a"));
            using var file = SafetensorsFile.Open(folder.PathOf("a"));
            return string.Join('\n', file.Tensors.Keys);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Plans_tell_the_most_bytes_and_that_no_anchor_is_computed(string model)
    {
        var pipeline = models.Get(model);
        var mask = new RgbImage(1, 1, [255, 255, 255]);
        var filled = Anchors with { Scenes = [.. Anchors.Scenes.Select(scene => scene with { Subjects = [Bear.At(mask)] })] };
        var options = new StoryOptions { Request = Quick, BankForm = StoryBankForm.Keys, BatchSize = 4, Anchors = 2 };
        var most = pipeline.PlanMemory(filled, options).BankBytes;
        using var bank = pipeline.CreateBank(filled, options);

        // Portraits are planned as they are before they are compressed, masks on the finest grid.
        var side = pipeline.DefaultTechniques.Masks!.MaxGrid ?? 0;
        Assert.InRange(bank.Bytes, most - (2 * 3 * 64 * 64) - (2 * side * side), most);
        var found = pipeline.PlanMemory(Anchors, options).BankBytes;
        using var smaller = pipeline.CreateBank(Anchors, options);
        Assert.InRange(smaller.Bytes, 1, found);

        using var trajectory = pipeline.CreateBank(Anchors, options with { BankForm = null });
        Assert.True(Peak(smaller) < Peak(trajectory));
        var clock = new TimeProviderOfSeconds();
        Assert.Equal(
            pipeline.PlanTime(trajectory, Further[..2], clock: clock).Rows,
            2 * pipeline.PlanTime(smaller, Further[..2], clock: clock).Rows);

        long Peak(StoryBank of) => pipeline.PlanMemory(of, Further[..2]).PeakBytes;
    }

    [Fact]
    public void One_scene_is_drawn_again_from_keys()
    {
        var pipeline = models.Get("tiny-sdxl");
        var story = Anchors with { Scenes = [.. Anchors.Scenes, new("a bear at home"), new("a bear in a tree")] };
        var options = new StoryOptions { Request = Quick, Anchors = 2 };
        using var expected = pipeline.GenerateStory(story, options);
        using var first = pipeline.GenerateStory(story, options with { BankForm = StoryBankForm.Keys });
        TensorAssert.SameBits(expected.Latents, first.Latents);
        using var second = pipeline.RedrawScene(first, 2);
        using var expectedSecond = pipeline.RedrawScene(expected, 2);
        TensorAssert.SameBits(expectedSecond.Latents, second.Latents);

        first.Dispose();
        using var third = pipeline.RedrawScene(second, 3, story.Scenes[3] with { Seed = 8 }, new() { Candidates = 2 });
        using var expectedThird = pipeline.RedrawScene(expectedSecond, 3, story.Scenes[3] with { Seed = 8 }, new() { Candidates = 2 });
        TensorAssert.SameBits(expectedThird.Latents, third.Latents);
        Assert.Equal(StoryBankForm.Keys, third.Bank!.Card.Form);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Keys_of_half_precision_take_half_the_bytes(ScalarType dtype)
    {
        var pipeline = models.Get("storybook");
        var options = new StoryOptions { Request = Quick, BankForm = StoryBankForm.Keys };
        using var whole = pipeline.CreateBank(Anchors, options);
        using var half = pipeline.CreateBank(Anchors, options with { BankKeysDtype = dtype });
        Assert.InRange(half.Bytes, 0.5 * whole.Bytes, 0.6 * whole.Bytes);
        Assert.Contains($"keys in {dtype}", half.Describe(), StringComparison.Ordinal);

        using var expected = pipeline.GenerateScenes(whole, Further[..1]);
        using var actual = pipeline.GenerateScenes(half, Further[..1]);
        using var other = pipeline.GenerateScenes(whole, [Further[0] with { Seed = 12 }]);
        Assert.False(expected.Latents.SameBitsAs(actual.Latents));
        var (error, apart) = (Difference(expected, actual), Difference(expected, other));
        TestContext.Current.TestOutputHelper!.WriteLine($"{dtype}: latents differ by {error:g3}, those of another seed by {apart:g3}");
        Assert.InRange(error, 0, 0.05 * apart);

        static double Difference(StoryResult first, StoryResult second)
        {
            using var scope = NewDisposeScope();
            return (first.Latents - second.Latents).square().mean().sqrt().item<float>();
        }
    }

    [Fact]
    public void What_a_form_has_no_use_for_is_refused()
    {
        var pipeline = models.Get("tiny-sdxl");
        var options = new StoryOptions { Request = Quick, BankForm = StoryBankForm.Keys };
        using var bank = pipeline.CreateBank(Anchors, options);
        Refuse("has the form Keys already", () => pipeline.GenerateScenes(bank, Further, new() { BankForm = StoryBankForm.Keys }));
        Refuse("BankKeysDtype is Int32;", () => pipeline.CreateBank(Anchors, options with { BankKeysDtype = ScalarType.Int32 }));
        Refuse(
            "BankKeysDtype is Float16, and the bank keeps no keys;",
            () => pipeline.CreateBank(Anchors, new() { Request = Quick, BankKeysDtype = ScalarType.Float16 }));
        Refuse("made with Steps 2", () => pipeline.GenerateScenes(bank, Further, new() { Request = Quick with { Steps = 4 } }));
        using var alone = pipeline.GenerateStory(Anchors, options);
        Assert.Contains(alone.Warnings, warning => warning.Message.StartsWith("BankForm has no effect", StringComparison.Ordinal));
        Assert.Equal(bank.Card.Form, JsonSerializer.Deserialize<StoryBankCard>(JsonSerializer.Serialize(bank.Card))!.Form);

        static void Refuse(string what, Func<IDisposable> make) =>
            Assert.Contains(what, Assert.Throws<ArgumentException>(() => make().Dispose()).Message, StringComparison.Ordinal);
    }

    private sealed class TimeProviderOfSeconds : TimeProvider
    {
        private long now;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => now++;
    }
}
