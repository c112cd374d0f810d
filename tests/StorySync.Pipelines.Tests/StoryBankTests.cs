using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Anchors, banks and the scenes that are drawn with them.</summary>
public sealed class StoryBankTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private const int Side = 64;

    private static readonly Story Anchors = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly Scene[] Further =
    [
        new("a bear reading in the library") { Seed = 11 },
        new("a bear running through the snow") { Seed = 3 },
        new("a bear on a boat at night, in the rain") { Seed = 71 },
        new("a bear") { Seed = 5 },
        new("an old city") { Seed = 6, Subjects = [new Subject("a bear").Absent()] },
    ];

    // Masks are there in the second step.
    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = Side, Width = Side };

    public static TheoryData<string> Models() => ["storybook", "tiny-sdxl", "tiny-kandinsky3", "tiny-flux"];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_scene_has_the_same_bits_in_every_batch_and_order(string model)
    {
        var pipeline = models.Get(model);
        var options = new StoryOptions { Request = Quick, Techniques = new() { Sharing = new() { Dropout = 0.3 } } };
        using var bank = pipeline.CreateBank(Anchors, options);
        using var scope = NewDisposeScope();
        var alone = Further.Select(scene => Latents(pipeline, bank, [scene], null)).ToList();
        Assert.Equal(Further.Length, alone.Select(latents => Convert.ToHexString(latents.bytes)).Distinct().Count());

        var random = new Random(4);
        foreach (var size in new int?[] { 2, 5, null })
        {
            int[] order = [.. Enumerable.Range(0, Further.Length)];
            random.Shuffle(order);
            var together = Latents(pipeline, bank, [.. order.Select(i => Further[i])], size);
            foreach (var (place, scene) in order.Index())
            {
                TensorAssert.SameBits(alone[scene], together.narrow(0, place, 1));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_story_with_anchors_is_its_bank_and_the_scenes_drawn_with_it(string model)
    {
        var pipeline = models.Get(model);
        var story = Anchors with { Scenes = [.. Anchors.Scenes, new("a bear at home"), new("a bear in a tree"), new("a bear, tired")] };
        using var whole = pipeline.GenerateStory(story, new() { Request = Quick, Anchors = 2, BatchSize = 2 });
        using var anchors = pipeline.GenerateStory(Anchors, new() { Request = Quick });
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        using var scenes = pipeline.GenerateScenes(bank, [.. story.Scenes.Skip(2)]);

        TensorAssert.SameBits(anchors.Latents, whole.Latents.narrow(0, 0, 2));
        TensorAssert.SameBits(scenes.Latents, whole.Latents.narrow(0, 2, 3));
        Assert.Equal([5, 6, 7, 8, 9], whole.Scenes.Select(scene => scene.Seed));
        Assert.Equal([7, 8, 9], scenes.Scenes.Select(scene => scene.Seed));
        Assert.Equal(story.Scenes, whole.Scenes.Select(scene => scene.Scene));
        Assert.Equal(JsonSerializer.Serialize(bank.Card), JsonSerializer.Serialize(whole.Bank!.Card));
        Assert.Equal(anchors.Scenes.Select(scene => scene.Image.Pixels.ToArray()), bank.Portraits.Select(image => image.Pixels.ToArray()));
    }

    /// <summary>The anchors' rows go through the same numbers as when they were made: what a scene reads is theirs.</summary>
    [Theory]
    [InlineData("storybook", false)]
    [InlineData("storybook", true)]
    [InlineData("tiny-sdxl", false)]
    [InlineData("tiny-sdxl", true)]
    [InlineData("tiny-kandinsky3", false)]
    public void Anchors_are_computed_again_as_they_were(string model, bool withPicture)
    {
        var picture = new RgbImage(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)i)]);
        var mask = new RgbImage(1, 1, [255, 255, 255]);
        var story = !withPicture ? Anchors : Anchors with
        {
            Scenes = [Anchors.Scenes[0], Anchors.Scenes[1] with { Image = picture, Subjects = [Anchors.Subjects[0].At(mask)] }],
        };
        var pipeline = models.Get(model);
        var kept = new List<byte[]>();
        using var bank = pipeline.CreateBank(story, new() { Request = Quick with { AttentionProcessor = new Watch(kept, 2) } });
        var again = new List<byte[]>();
        using var drawn = pipeline.GenerateScenes(
            bank, Further[..3], new() { Request = new() { AttentionProcessor = new Watch(again, 2, 5) }, BatchSize = 3 });

        Assert.NotEmpty(kept);
        Assert.Equal(kept.Count, again.Count);
        Assert.All(kept.Zip(again), pair => Assert.Equal(pair.First, pair.Second));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_scene_reads_the_anchors(string model)
    {
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        using var other = pipeline.CreateBank(Anchors, new() { Request = Quick with { Seed = 99 } });
        using var read = pipeline.GenerateScenes(bank, Further[..1]);
        using var readOther = pipeline.GenerateScenes(other, Further[..1]);
        using var alone = pipeline.GenerateStory(Anchors with { Scenes = Further[..1] }, new() { Request = Quick });

        Assert.False(read.Latents.SameBitsAs(readOther.Latents));
        Assert.False(read.Latents.SameBitsAs(alone.Latents));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_bank_comes_back_from_its_file(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        bank.Save(folder.PathOf("a.storybank"));
        using var loaded = StoryBank.Load(folder.PathOf("a.storybank"));
        loaded.Save(folder.PathOf("b.storybank"));

        Assert.Equal(File.ReadAllBytes(folder.PathOf("a.storybank")), File.ReadAllBytes(folder.PathOf("b.storybank")));
        Assert.Equal(JsonSerializer.Serialize(bank.Card), JsonSerializer.Serialize(loaded.Card));
        Assert.Equal(bank.Describe(), loaded.Describe());
        Assert.Contains("a bear waving at the beach (seed 6)", loaded.Describe(), StringComparison.Ordinal);
        Assert.Equal(bank.Portraits.Select(image => image.Pixels.ToArray()), loaded.Portraits.Select(image => image.Pixels.ToArray()));
        using var fresh = LoadedModels.Load(model);
        using var expected = pipeline.GenerateScenes(bank, Further[..2]);
        using var actual = fresh.GenerateScenes(loaded, Further[..2]);
        TensorAssert.SameBits(expected.Latents, actual.Latents);
    }

    private static readonly Dictionary<string, (PipelineOptions Load, StoryOptions Story)> Cases = new()
    {
        ["guidance end"] = (new(), new() { Request = Quick with { GuidanceEnd = 0.5 } }),
        ["one negative prompt"] = (new(), new() { Request = Quick with { NegativePrompts = ["blurry"] } }),
        ["ancestral steps"] = (new(), new() { Request = Quick with { Scheduler = nameof(EulerAncestralDiscreteScheduler) } }),
        ["Heun"] = (new(), new() { Request = Quick with { Scheduler = nameof(HeunDiscreteScheduler) } }),

        // Its second order is that of the steps between the first and the last.
        ["multistep"] = (new(), new() { Request = Quick with { Steps = 3, Scheduler = nameof(DPMSolverMultistepScheduler) } }),
        ["offload"] = (new() { Offload = true }, new() { Request = Quick }),
        ["streaming"] = (new() { StreamBlocks = true }, new() { Request = Quick }),
        ["tiling"] = (new() { TiledDecoding = true }, new() { Request = Quick }),
        ["same noise"] = (new(), new() { Request = Quick, SameNoise = true }),
        ["masks in the first step"] = (new(), new() { Request = Quick, Techniques = new() { Masks = new() { ReadyAfterLayers = 1 } } }),
        ["all read"] = (new(), new() { Request = Quick, Techniques = new() { Sharing = new() { SubjectQueriesOnly = false } } }),
        ["moved keys"] = (new(), new() { Request = Quick, Techniques = new() { Sharing = new() { MatchPositions = true } } }),
        ["layout to the end"] = (new(), new() { Request = Quick, Techniques = new() { Layout = new() { Until = 1 } } }),
        ["no techniques"] = (new(), new() { Request = Quick, Techniques = StoryAttentionOptions.Disabled }),
    };

    public static TheoryData<string, string> Options() =>
        [.. Cases.Keys.SelectMany(option => ((string[])["tiny-sdxl", "tiny-kandinsky3", "tiny-flux"]).Select(model => (option, model)))
            .Where(one => one is not ("ancestral steps" or "Heun", "tiny-flux"))];

    /// <summary>The three scenes together are the expectation of all: of one alone, and of two in another order that read the same anchors
    /// from keys.</summary>
    [Theory]
    [MemberData(nameof(Options))]
    public void Every_option_leaves_a_scenes_bits_to_itself_and_to_either_form(string option, string model)
    {
        var (load, own) = CaseOf(option, model);
        var pipeline = models.Get(model, load);
        using var scope = NewDisposeScope();
        using var bank = pipeline.CreateBank(Anchors, own);
        var together = Latents(pipeline, bank, Further[..3], 3);
        var alone = Latents(pipeline, bank, [Further[1]], null);
        TensorAssert.SameBits(together.narrow(0, 1, 1), alone);

        using var keys = pipeline.CreateBank(Anchors, own with { BankForm = StoryBankForm.Keys });
        var pair = Latents(pipeline, keys, [Further[2], Further[0]], 2);

        // FLUX's keys are moved in libtorch's operators, which sum in another order where more rows are before a row.
        var tolerance = model == "tiny-flux" && option == "moved keys" ? 1e-4 : 0;
        if (tolerance > 0)
        {
            var computed = Latents(pipeline, bank, [Further[2], Further[0]], 2);
            TensorAssert.SameBits(together.narrow(0, 2, 1), computed.narrow(0, 0, 1));
            TensorAssert.SameBits(together.narrow(0, 0, 1), computed.narrow(0, 1, 1));
        }

        TensorAssert.Close(together.narrow(0, 2, 1), pair.narrow(0, 0, 1), tolerance);
        TensorAssert.Close(together.narrow(0, 0, 1), pair.narrow(0, 1, 1), tolerance);
    }

    /// <summary>Of five images of this size the halves are computed one after the other, of four together, in steps with an unmodified
    /// branch: of which the first is one, in which everything else takes part too.</summary>
    [Theory]
    [InlineData("tiny-sdxl", StoryBankForm.Trajectory)]
    [InlineData("tiny-sdxl", StoryBankForm.Keys)]
    [InlineData("tiny-kandinsky3", StoryBankForm.Trajectory)]
    [InlineData("tiny-kandinsky3", StoryBankForm.Keys)]
    [InlineData("tiny-flux", StoryBankForm.Trajectory)]
    [InlineData("tiny-flux", StoryBankForm.Keys)]
    public void Guidance_halves_one_after_the_other_leave_a_scenes_bits_to_itself(string model, StoryBankForm form)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        using var bank = pipeline.CreateBank(Anchors, new()
        {
            Request = Quick with { Steps = 1, Height = 256, Width = 448 },
            Techniques = new() { Masks = new() { ReadyAfterLayers = 1 }, Harmonization = new() { Steps = new(0, 1) } },
            BankForm = form,
        });
        var together = Latents(pipeline, bank, Further[..3], 3);
        var pair = Latents(pipeline, bank, [Further[2], Further[0]], 2);
        TensorAssert.SameBits(together.narrow(0, 2, 1), pair.narrow(0, 0, 1));
        TensorAssert.SameBits(together.narrow(0, 0, 1), pair.narrow(0, 1, 1));
        var alone = Latents(pipeline, bank, [Further[1]], null);
        TensorAssert.SameBits(together.narrow(0, 1, 1), alone);
    }

    /// <summary>A case as a model takes it: FLUX's schedulers are of flow matching.</summary>
    private static (PipelineOptions Load, StoryOptions Story) CaseOf(string option, string model)
    {
        var (load, options) = Cases[option];
        if (model != "tiny-flux" || options.Request!.Scheduler is not { } scheduler)
        {
            return (load, options);
        }

        Assert.Equal(nameof(DPMSolverMultistepScheduler), scheduler.ClassName);
        var flow = new DPMSolverMultistepScheduler(
            new() { UseFlowSigmas = true, PredictionType = "flow_prediction", FinalSigmasType = "zero" });
        return (load, options with { Request = options.Request with { Scheduler = flow } });
    }

    private static readonly Dictionary<string, Func<StoryOptions, StoryOptions>> Different = new()
    {
        { "Steps 3", options => options.With(r => r with { Steps = 4 }) },
        { "GuidanceScale 4", options => options.With(r => r with { GuidanceScale = 5 }) },
        { "GuidanceEnd 1", options => options.With(r => r with { GuidanceEnd = 0.5 }) },
        { "Height 64", options => options.With(r => r with { Height = 128 }) },
        { "Scheduler", options => options.With(r => r with { Scheduler = nameof(DDIMScheduler) }) },
        { "ClipSkip", options => options.With(_ => new StableDiffusionXLRequest { ClipSkip = 1 }) },
        { "Techniques.Sharing.Strength 1", options => options with { Techniques = new() { Sharing = new() { Strength = 2 } } } },
        { "BlockCacheThreshold is 1", options => options.With(r => r with { BlockCacheThreshold = 1 }) },
        { "NegativePrompts", options => options.With(r => r with { NegativePrompts = ["blurry"] }) },
        { "Images", options => options.With(r => r with { Images = [new(Side, Side, new byte[3 * Side * Side])] }) },
        { "Anchors is set", options => options with { Anchors = 1 } },
    };

    [Fact]
    public void What_differs_from_the_bank_is_named()
    {
        var pipeline = models.Get("storybook");
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick with { Steps = 3 } });
        foreach (var (what, change) in Different)
        {
            var error = Assert.Throws<ArgumentException>(() => pipeline.GenerateScenes(bank, Further, change(new())));
            Assert.Contains(what, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_bank_of_another_model_type_or_LoRA_is_refused()
    {
        var pipeline = models.Get("storybook");
        var other = models.Get("tiny-sdxl");
        var half = models.Get("storybook", new() { Dtype = ScalarType.BFloat16 });
        var third = models.Get("tiny-flux");
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        Refuse(other, "made with model ");
        Refuse(half, "made with Dtype Float32");
        Refuse(third, "made with pipeline StableDiffusionXLPipeline");

        void Refuse(DiffusionPipeline by, string what) => Assert.Contains(
            what, Assert.Throws<ArgumentException>(() => by.GenerateScenes(bank, Further)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Anchors_with_a_cache_or_too_many_of_them_are_refused()
    {
        var pipeline = models.Get("tiny-sdxl");
        foreach (var (options, what) in new[]
        {
            (new StoryOptions { Request = Quick with { BlockCacheThreshold = 1 }, Anchors = 1 }, "BlockCacheThreshold"),
            (new StoryOptions { Request = Quick, Anchors = 3 }, "Anchors is 3"),
            (new StoryOptions { Request = Quick, Anchors = 0 }, "Anchors is 0"),
            (new StoryOptions { Request = Quick, Anchors = 1, BatchSize = 0 }, "BatchSize is 0"),
        })
        {
            Assert.Contains(
                what, Assert.Throws<ArgumentException>(() => pipeline.GenerateStory(Anchors, options)).Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Damages a bank's file in many ways, each of which is refused by an error that names it.</summary>
    internal static void RefusesEveryDamage(string path, int count)
    {
        var whole = File.ReadAllBytes(path);
        var random = new Random(7);
        for (var i = 0; i < count; i++)
        {
            var damaged = (byte[])whole.Clone();
            if (i % 3 == 0)
            {
                damaged = damaged[..random.Next(whole.Length)];
            }
            else
            {
                // Half of the flips are in the header, where the card is.
                damaged[random.Next(i % 2 == 0 ? whole.Length : 4000)] ^= (byte)(1 << random.Next(8));
            }

            File.WriteAllBytes(path, damaged);
            Assert.StartsWith(path, Assert.Throws<ModelFileException>(() => StoryBank.Load(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_damaged_or_foreign_file_gives_one_error_that_names_it()
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get("tiny-sdxl");
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        var path = folder.PathOf("a.storybank");
        bank.Save(path);
        RefusesEveryDamage(path, 150);

        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>());
        Assert.Contains("no story bank", Assert.Throws<ModelFileException>(() => StoryBank.Load(path)).Message, StringComparison.Ordinal);
        Assert.Throws<ModelFileException>(() => StoryBank.Load(folder.PathOf("missing")));
        var card = JsonSerializer.Serialize(bank.Card with { Version = 2 });
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>(), new Dictionary<string, string>
        {
            ["format"] = "storybank", ["card"] = card,
        });
        Assert.Contains("version 2", Assert.Throws<ModelFileException>(() => StoryBank.Load(path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(StoryBankForm.Trajectory)]
    [InlineData(StoryBankForm.Keys)]
    public void A_file_that_is_written_to_under_its_bank_is_neither_drawn_with_nor_saved_as_if_it_were_whole(StoryBankForm form)
    {
        using var folder = new TemporaryFolder();
        using var pipeline = LoadedModels.Load("tiny-sdxl");
        var (path, copy) = (folder.PathOf("a.storybank"), folder.PathOf("copy.storybank"));
        using (var made = pipeline.CreateBank(Anchors, new() { Request = Quick, BankForm = form }))
        {
            made.Save(path);
        }

        var whole = File.ReadAllBytes(path);
        using (var replaced = StoryBank.Load(path))
        {
            replaced.Save(path);
            File.Delete(path);
            replaced.Save(path);
            Assert.Equal(whole, File.ReadAllBytes(path));
            pipeline.GenerateScenes(replaced, Further[..1]).Dispose();
        }

        var bank = StoryBank.Load(path);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
        {
            file.Position = file.Length - 5;
            file.WriteByte(7);
        }

        File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddSeconds(1));
        foreach (var use in (Action[])[() => bank.Save(copy), () => pipeline.GenerateScenes(bank, Further[..1])])
        {
            var error = Assert.Throws<ModelFileException>(use);
            Assert.Equal(path, error.Path);
            Assert.Contains("the story bank was written to", error.Message, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(copy));
        bank.Dispose();
        Assert.Throws<ObjectDisposedException>(() => bank.Save(copy));
        Assert.Throws<ObjectDisposedException>(bank.Describe);
        Assert.Throws<ObjectDisposedException>(() => bank.Bytes);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void One_scene_is_drawn_again_and_the_others_stay(string model)
    {
        var pipeline = models.Get(model);
        var story = Anchors with { Scenes = [.. Anchors.Scenes, new("a bear at home"), new("a bear in a tree")] };
        using var first = pipeline.GenerateStory(story, new() { Request = Quick, Anchors = 2 });
        using var second = pipeline.RedrawScene(first, 2);
        using var third = pipeline.RedrawScene(second, 2, story.Scenes[2]);
        using var other = pipeline.RedrawScene(third, 3, new Scene("a bear at the beach") { Seed = 8 });

        Assert.Equal([5, 6, 9, 8], second.Scenes.Select(scene => scene.Seed));
        foreach (var i in (int[])[0, 1, 3])
        {
            Assert.Same(first.Scenes[i], second.Scenes[i]);
            TensorAssert.SameBits(first.Latents[i], second.Latents[i]);
        }

        Assert.False(first.Latents[2].SameBitsAs(second.Latents[2]));
        Assert.Equal([5, 6, 9, 8], third.Scenes.Select(scene => scene.Seed));
        TensorAssert.SameBits(second.Latents, third.Latents);
        Assert.Equal("a bear at the beach", other.Scenes[3].Scene.Prompt);
        Assert.False(first.Latents[3].SameBitsAs(other.Latents[3]));

        first.Dispose();
        using var again = pipeline.RedrawScene(second, 2, story.Scenes[2] with { Seed = 7 });
        using var expected = pipeline.GenerateScenes(second.Bank!, [story.Scenes[2] with { Seed = 7 }]);
        TensorAssert.SameBits(expected.Latents[0], again.Latents[2]);
    }

    [Fact]
    public void An_anchor_is_not_drawn_again_alone()
    {
        var pipeline = models.Get("tiny-sdxl");
        using var plain = pipeline.GenerateStory(Anchors, new() { Request = Quick });
        using var anchored = pipeline.GenerateStory(Anchors, new() { Request = Quick, Anchors = 1 });
        Refuse(plain, 1, "StoryOptions.Anchors");
        Refuse(anchored, 0, "Scene 1 is an anchor");
        Refuse(anchored, 2, "index is 2");

        void Refuse(StoryResult story, int index, string what) => Assert.Contains(
            what, Assert.Throws<ArgumentException>(() => pipeline.RedrawScene(story, index)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cast_is_spoken_of_by_name_in_further_scenes()
    {
        var pipeline = models.Get("tiny-sdxl");
        var cast = new Story
        {
            Cast = [new Character("Mia", "a small bear"), new Character("Tom", "an old man")],
            Scenes = [new("Mia in the forest"), new("Mia at the beach"), new("Mia and Tom at home")],
        };
        using var bank = pipeline.CreateBank(cast with { Scenes = [new("Mia and Tom in the forest"), .. cast.Scenes.Skip(1)] },
            new() { Request = Quick });
        using var result = pipeline.GenerateScenes(bank, [new("Mia sleeping")]);
        Assert.Equal("A small bear sleeping", result.Scenes[0].Prompt);
        using var whole = pipeline.GenerateStory(cast, new() { Request = Quick, Anchors = 2 });
        Assert.Equal("A small bear and an old man at home", whole.Scenes[2].Prompt);
    }

    [Fact]
    public void Progress_goes_through_all_batches()
    {
        var pipeline = models.Get("tiny-sdxl");
        var seen = new List<GenerationProgress>();
        var steps = new List<long>();
        using var story = pipeline.GenerateStory(
            Anchors with { Scenes = [.. Anchors.Scenes, .. Further[..3]] },
            new()
            {
                Request = Quick with { Steps = 3, PreviewInterval = 1, OnStep = step => steps.Add(step.Latents.shape[0]) },
                Anchors = 2,
                BatchSize = 2,
            },
            new Report(seen));
        Assert.Equal([2, 2, 2, 2, 2, 2, 1, 1, 1], steps);
        Assert.Equal((9, 9, GenerationStage.Done), (seen[^1].Step, seen[^1].Steps, seen[^1].Stage));
        Assert.Single(seen, progress => progress.Stage == GenerationStage.Done);
        Assert.Equal(seen.Select(progress => progress.Elapsed).Order(), seen.Select(progress => progress.Elapsed));
        Assert.Equal(seen.Select(progress => progress.Step).Order(), seen.Select(progress => progress.Step));
    }

    private sealed class Report(List<GenerationProgress> seen) : IProgress<GenerationProgress>
    {
        void IProgress<GenerationProgress>.Report(GenerationProgress value) => seen.Add(value);
    }

    private static Tensor Latents(DiffusionPipeline pipeline, StoryBank bank, IReadOnlyList<Scene> scenes, int? batch)
    {
        using var result = pipeline.GenerateScenes(bank, scenes, new() { BatchSize = batch });
        Assert.Equal(scenes, result.Scenes.Select(scene => scene.Scene));
        return result.Latents.clone();
    }

    /// <summary>Remembers what the anchors' rows of each call get.</summary>
    /// <param name="seen">Receives it.</param>
    /// <param name="anchors">The anchors.</param>
    /// <param name="images">All images.</param>
    private sealed class Watch(List<byte[]> seen, int anchors, int? images = null) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            if (layer.Kind == AttentionKind.Cross)
            {
                using var scope = NewDisposeScope();
                var rows = inputs.Query.unflatten(0, [-1, images ?? anchors]).narrow(1, 0, anchors).contiguous();
                seen.Add(System.Security.Cryptography.SHA256.HashData(rows.bytes));
            }

            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
