using System.Text.Json;
using SkiaSharp;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Scenes that are the user's images.</summary>
public sealed class ImageAnchorTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private const int Side = 64;

    private static readonly Subject Bear = "a bear";

    private static readonly RgbImage Picture = Painted(Side, Side, 3);

    private static readonly Story Mixed = new()
    {
        Subjects = [Bear],
        Scenes =
        [
            new("a bear standing in the forest"),
            new("a photo of a bear") { Image = Picture },
            new("a bear at home, in a photo") { Image = Painted(Side, Side, 8), Subjects = [Bear.At(Box(Side, Side, 8, 40))] },
        ],
    };

    private static readonly Scene[] Further =
    [
        new("a bear reading in the library") { Seed = 11 },
        new("a bear running through the snow") { Seed = 3 },
        new("an old city") { Seed = 6, Subjects = [Bear.Absent()] },
        new("a bear on a boat at night, in the rain") { Seed = 71 },
    ];

    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = Side, Width = Side };

    public static TheoryData<string> Models() => ["storybook", "tiny-sdxl", "tiny-kandinsky3", "tiny-flux"];

    [Theory]
    [InlineData("storybook", null)]
    [InlineData("tiny-sdxl", null)]
    [InlineData("tiny-sdxl", nameof(DDIMScheduler))]
    [InlineData("tiny-sdxl", nameof(HeunDiscreteScheduler))]
    [InlineData("tiny-kandinsky3", null)]
    [InlineData("tiny-flux", null)]
    public void At_each_call_a_picture_is_its_latents_with_that_calls_noise(string model, string? scheduler)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var result = pipeline.GenerateStory(
            Mixed, new() { Request = Quick with { Scheduler = scheduler is null ? null : (SchedulerChoice)scheduler }, Anchors = 3 });
        result.Bank!.Save(folder.PathOf("bank"));
        using var kept = SafetensorsFile.Open(folder.PathOf("bank"));
        using var scope = NewDisposeScope();
        var card = result.Bank.Card;
        foreach (var row in (int[])[1, 2])
        {
            using var generator = new Generator((ulong)(5 + row), CPU);
            Tensor Draw(Tensor like) => randn(like.shape, generator: generator);
            var noise = pipeline.DrawNoise(Draw, 1, Side, Side);
            var clean = pipeline.EncodeImages(Mixed.Scenes[row].Image!.ToTensor(), Draw, TestContext.Current.CancellationToken);
            TensorAssert.SameBits(clean, result.Latents.narrow(0, row, 1));
            for (var call = 0; call < card.Timesteps.Count; call++)
            {
                var (signal, level) = Levels(model, pipeline, card, call);
                var expected = (clean * tensor((float)signal)) + (noise * tensor((float)level));
                var actual = kept.Read($"latents.{call}").narrow(0, row, 1);
                var difference = (expected - actual).abs().max().ToSingle() / expected.abs().max().ToSingle();
                Assert.True(difference < 1e-5, $"call {call}: {difference}");
                if (kept.Tensors.ContainsKey($"base.{call}"))
                {
                    TensorAssert.SameBits(actual, kept.Read($"base.{call}").narrow(0, row, 1));
                }
            }
        }

        Assert.True(kept.Tensors.ContainsKey("base.0"));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_scene_drawn_with_pictures_has_the_same_bits_in_every_batch(string model)
    {
        using var folder = new TemporaryFolder();
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        using var bank = pipeline.CreateBank(Mixed, new() { Request = Quick });
        bank.Save(folder.PathOf("bank"));
        using var loaded = StoryBank.Load(folder.PathOf("bank"));
        using var whole = pipeline.GenerateStory(
            Mixed with { Scenes = [.. Mixed.Scenes, .. Further] }, new() { Request = Quick, Anchors = 3, BatchSize = 3 });
        using var together = pipeline.GenerateScenes(loaded, Further, new() { BatchSize = 4 });
        TensorAssert.SameBits(whole.Latents.narrow(0, 3, 4), together.Latents);
        foreach (var (index, scene) in Further.Index())
        {
            using var alone = pipeline.GenerateScenes(bank, [scene]);
            TensorAssert.SameBits(together.Latents.narrow(0, index, 1), alone.Latents);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Drawn_anchors_and_further_scenes_read_pictures(string model)
    {
        var pipeline = models.Get(model);
        var options = new StoryOptions { Request = Quick, Anchors = 3 };
        var story = Mixed with { Scenes = [.. Mixed.Scenes, Further[0]] };
        using var one = pipeline.GenerateStory(story, options);
        var changed = story.Scenes[2] with { Image = Painted(Side, Side, 1) };
        using var other = pipeline.GenerateStory(
            story with { Scenes = [story.Scenes[0], story.Scenes[1], changed, Further[0]] }, options);
        Assert.False(one.Latents[0].SameBitsAs(other.Latents[0]));
        TensorAssert.SameBits(one.Latents[1], other.Latents[1]);
        Assert.False(one.Latents[3].SameBitsAs(other.Latents[3]));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_mask_that_is_found_holds_as_if_it_were_given(string model)
    {
        var pipeline = models.Get(model);
        var story = Mixed with { Scenes = [new("a photo of a bear") { Image = Picture }] };
        using var found = pipeline.CreateBank(story, new() { Request = Quick });
        var own = Assert.Single(Assert.Single(found.Card.Story.Scenes).Subjects);
        Assert.Null(found.Card.Story.Scenes[0].Image);
        Assert.Equal(Bear, own.Subject);
        using var given = pipeline.CreateBank(
            story with { Scenes = [story.Scenes[0] with { Subjects = [own] }] }, new() { Request = Quick });
        using var elsewhere = pipeline.CreateBank(
            story with { Scenes = [story.Scenes[0] with { Subjects = [Bear.At(Box(Side, Side, 0, 16))] }] }, new() { Request = Quick });
        using var withFound = pipeline.GenerateScenes(found, Further);
        using var withGiven = pipeline.GenerateScenes(given, Further);
        using var withElsewhere = pipeline.GenerateScenes(elsewhere, Further);
        TensorAssert.SameBits(withFound.Latents, withGiven.Latents);
        Assert.False(withFound.Latents.SameBitsAs(withElsewhere.Latents));
    }

    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-flux")]
    public void Subjects_are_looked_for_at_the_first_call_with_less_noise_than_asked_for(string model)
    {
        var pipeline = models.Get(model);
        var story = Mixed with { Scenes = [new("a photo of a bear") { Image = Picture }] };
        foreach (var most in new double?[] { null, 1, 0.97, 0.75, 0.5, 0.2, 0 })
        {
            var steps = new List<int>();
            using var bank = pipeline.CreateBank(story, new()
            {
                Request = Quick with { Steps = 9, AttentionProcessor = new Steps(steps) },
                Techniques = new() { Masks = new() { ImageNoise = most } },
            });

            // The noise levels are σ of a straight line, or those of a variance 1 + σ².
            var shares = bank.Card.Sigmas.Take(9).Select(sigma => model == "tiny-flux" ? sigma : sigma * sigma / (1.0 + (sigma * sigma)));
            var expected = shares.Index().Where(share => share.Item < (most ?? 0.5)).Select(share => share.Index).Append(8).First();
            Assert.Equal(expected, steps[0]);
            Assert.Equal(Enumerable.Range(0, 9), steps.Skip(1).Distinct().Order());
        }
    }

    [Fact]
    public void A_cast_is_found_in_pictures()
    {
        var pipeline = models.Get("storybook");
        var story = new Story
        {
            Cast = [new Character("Mia", "a green frog"), new Character("Tom", "a brown bear")],
            Scenes = [new("Mia in the forest") { Image = Picture }, new("Tom at the beach") { Image = Painted(Side, Side, 5) }],
        };
        using var result = pipeline.GenerateStory(
            story with { Scenes = [.. story.Scenes, new("Mia and Tom at home")] }, new() { Request = Quick, Anchors = 2 });
        Assert.NotNull(result.Scenes[0].Subjects[0].Region);
        Assert.Null(result.Scenes[0].Subjects[1].Region);
        Assert.NotNull(result.Scenes[1].Subjects[1].Region);
        Assert.Same(story.Scenes[0], result.Scenes[0].Scene);
        Assert.Equal("Mia in the forest", result.Bank!.Card.Story.Scenes[0].Prompt);
    }

    [Fact]
    public void The_picture_is_the_image_at_the_storys_size()
    {
        var pipeline = models.Get("tiny-sdxl");
        var wide = Painted(96, Side, 3);
        var story = Mixed with
        {
            Scenes = [Mixed.Scenes[1], new("a bear") { Image = wide, Subjects = [Bear.At(Box(96, Side, 8, 40))] }, Mixed.Scenes[0]],
        };
        using var result = pipeline.GenerateStory(story, new() { Request = Quick, Anchors = 2 });
        Assert.Equal(Picture.Pixels, result.Scenes[0].Image.Pixels);
        Assert.Equal(wide.Resize(Side, Side).Pixels, result.Scenes[1].Image.Pixels);
        Assert.Equal(result.Scenes[1].Image.Pixels, result.Bank!.Portraits[1].Pixels);
        using var decoded = pipeline.DecodeLatents(result.Latents.narrow(0, 2, 1), Side, Side, TestContext.Current.CancellationToken);
        Assert.Equal(RgbImage.FromTensor(decoded)[0].Pixels, result.Scenes[2].Image.Pixels);
    }

    [Fact]
    public void A_picture_in_a_wrong_place_is_refused()
    {
        var pipeline = models.Get("tiny-sdxl");
        var options = new StoryOptions { Request = Quick };
        var story = Mixed with { Scenes = [Mixed.Scenes[0], Mixed.Scenes[1]] };
        using var bank = pipeline.CreateBank(story, options);
        using var drawn = pipeline.GenerateStory(Mixed with { Scenes = [Mixed.Scenes[0], Further[0]] }, options with { Anchors = 1 });
        Refuse("Scene 2 has an Image", () => pipeline.GenerateStory(story, options));
        Refuse("Scene 2 has an Image", () => pipeline.GenerateStory(story, options with { Anchors = 1 }));
        Refuse("Scene 3 has an Image", () => pipeline.GenerateScenes(bank, [story.Scenes[1]]));
        Refuse("Scene 2 has an Image", () => pipeline.RedrawScene(drawn, 1, story.Scenes[1]));
        Refuse("the image 64×64", () => pipeline.CreateBank(
            story with { Scenes = [story.Scenes[1] with { Subjects = [Bear.At(Box(96, Side, 0, 9))] }] }, options));

        static void Refuse(string what, Func<IDisposable> run) => Assert.Contains(
            what, Assert.Throws<ArgumentException>(run).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_transparency_of_a_file_is_a_mask()
    {
        using var folder = new TemporaryFolder();
        using (var bitmap = new SKBitmap(new SKImageInfo(4, 2, SKColorType.Rgba8888, SKAlphaType.Unpremul)))
        {
            bitmap.Erase(new SKColor(200, 30, 60, 255));
            bitmap.SetPixel(0, 0, new SKColor(200, 30, 60, 0));
            bitmap.SetPixel(3, 1, new SKColor(200, 30, 60, 77));
            using var file = File.Create(folder.PathOf("fox.png"));
            bitmap.Encode(file, SKEncodedImageFormat.Png, 100);
        }

        var mask = RgbImage.LoadAlpha(folder.PathOf("fox.png"))!;
        byte[] alphas = [0, 255, 255, 255, 255, 255, 255, 77];
        Assert.Equal((4, 2), (mask.Width, mask.Height));
        Assert.Equal(alphas.SelectMany(alpha => Enumerable.Repeat(alpha, 3)), mask.Pixels.ToArray());
        Picture.SavePng(folder.PathOf("opaque.png"));
        Assert.Null(RgbImage.LoadAlpha(folder.PathOf("opaque.png")));
        Assert.Throws<FileNotFoundException>(() => RgbImage.LoadAlpha(folder.PathOf("none.png")));
    }

    [Fact]
    public void A_story_of_pictures_round_trips_through_JSON()
    {
        var json = JsonSerializer.Serialize(Mixed);
        var back = JsonSerializer.Deserialize<Story>(json)!;
        Assert.Equal(json, JsonSerializer.Serialize(back));
        Assert.Equal(Picture.Pixels, back.Scenes[1].Image!.Pixels);
        Assert.Null(back.Scenes[0].Image);
    }

    /// <summary>The factors of the clean latents and of the noise, by the definitions of add_noise.</summary>
    private static (double Signal, double Noise) Levels(string model, DiffusionPipeline pipeline, StoryBankCard card, int call)
    {
        if (model == "tiny-flux")
        {
            return (1 - card.Sigmas[call], card.Sigmas[call]);
        }

        if (card.Sigmas.Count > 0)
        {
            return (1, card.Sigmas[call]);
        }

        var alpha = 1.0;
        for (var t = 0; t <= card.Timesteps[call]; t++)
        {
            alpha *= 1 - (model == "tiny-kandinsky3"
                ? Math.Min(1 - (Cosine(t + 1) / Cosine(t)), 0.999)
                : Math.Pow(Math.Sqrt(0.00085) + ((Math.Sqrt(0.012) - Math.Sqrt(0.00085)) * t / 999), 2));
        }

        return (Math.Sqrt(alpha), Math.Sqrt(1 - alpha));

        static double Cosine(int t) => Math.Pow(Math.Cos(((t / 1000.0) + 0.008) / 1.008 * Math.PI / 2), 2);
    }

    /// <summary>A disc on a gradient.</summary>
    private static RgbImage Painted(int width, int height, int seed)
    {
        var pixels = new byte[width * height * 3];
        for (var i = 0; i < width * height; i++)
        {
            var (x, y) = (i % width, i / width);
            var inside = Math.Pow(x - 30, 2) + Math.Pow(y - 34, 2) < 300;
            (pixels[3 * i], pixels[(3 * i) + 1], pixels[(3 * i) + 2]) =
                inside ? ((byte)(40 * seed), (byte)180, (byte)(90 + seed)) : ((byte)(2 * x), (byte)(3 * y), (byte)(seed * 20));
        }

        return new RgbImage(width, height, pixels);
    }

    private static RgbImage Box(int width, int height, int from, int to)
    {
        var pixels = new byte[width * height * 3];
        for (var i = 0; i < width * height; i++)
        {
            if (i % width >= from && i % width < to && i / width >= from && i / width < to)
            {
                pixels.AsSpan(3 * i, 3).Fill(byte.MaxValue);
            }
        }

        return new RgbImage(width, height, pixels);
    }

    /// <param name="seen">Receives the step of each call.</param>
    private sealed class Steps(List<int> seen) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            seen.Add(context.Step);
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
