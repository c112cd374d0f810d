using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Every form of a story with every option, on every form that a model's blocks have. <see cref="EveryOptionTests"/> has the
/// stories in which all scenes read each other.</summary>
/// <remarks>Models, forms and options know nothing of each other: what a form makes of an option is the same code on every model. So every
/// pair of the three is tried, and not every triple.</remarks>
public sealed class StoryFormTests(LoadedModels models, FirstDraws draws) : IClassFixture<LoadedModels>, IClassFixture<FirstDraws>
{
    private const int Side = 64;

    private static readonly Subject Bear = new("a bear");
    private static readonly RegionBox Left = new(0, 0, 0.5, 1);

    private static readonly RgbImage Picture = new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i * 7 % 251))]);
    private static readonly RgbImage UpperHalf = new(
        Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i < 3 * Side * Side / 2 ? 255 : 0))]);

    private static readonly Scene Forest = new("a bear standing in the forest") { Location = "the forest" };
    private static readonly Scene Beach = new("a bear waving at the beach") { Subjects = [Bear.In(Left)] };
    private static readonly Scene Snow = new("a bear running in the snow") { Location = "the forest", Subjects = [Bear.In(UpperHalf)] };

    private static readonly Story Bears = new() { Subjects = [Bear], Scenes = [Forest, Beach, Snow] };

    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = Side, Width = Side };

    /// <summary>How a story is made; whether it has anchors.</summary>
    private static readonly Dictionary<string, (bool Anchored, Func<DiffusionPipeline, StoryOptions, StoryResult> Draw)> Forms = new()
    {
        ["regions and a location"] = (false, (pipeline, options) => pipeline.GenerateStory(Bears, options)),
        ["anchors and takes"] = (true, (pipeline, options) => pipeline.GenerateStory(
            Bears, options with { Anchors = 1, Candidates = 2, RetryBelow = 2, BatchSize = 1 })),
        ["the user's picture"] = (true, (pipeline, options) => pipeline.GenerateStory(
            Bears with { Scenes = [new("a bear") { Image = Picture }, Beach, Snow] }, options with { Anchors = 1 })),
        ["a bank in a file, and a scene drawn again"] = (true, (pipeline, options) =>
        {
            using var folder = new TemporaryFolder();
            using var anchors = pipeline.CreateBank(Bears with { Scenes = [Forest] }, options);
            anchors.Save(folder.PathOf("a.storybank"));
            using var bank = StoryBank.Load(folder.PathOf("a.storybank"));
            using var story = pipeline.GenerateStory(Bears with { Scenes = [Forest, Beach] }, options with { Anchors = 1 });
            using var again = pipeline.RedrawScene(story, 1, Snow, Further(options));
            using var scenes = pipeline.GenerateScenes(bank, [Snow with { Seed = again.Scenes[1].Seed }], Further(options));
            TensorAssert.SameBits(scenes.Latents, again.Latents.narrow(0, 1, 1));
            return pipeline.GenerateScenes(bank, [Forest, Beach, Snow], Further(options));
        }),
    };

    private const string Lora = "a LoRA";
    private const string GuidanceEnd = "guidance end and previews";

    // Kandinsky 3 is the last: the others, which take LoRAs, are as many as there are forms.
    private static readonly string[] Models =
        [LoadedModels.Embedded, LoadedModels.OwnForm, "tiny-sdxl", "tiny-flux", "tiny-kandinsky3"];

    /// <summary>How a model is loaded and asked, and what stories with anchors say to it; null if they draw.</summary>
    private static readonly Dictionary<string, Option> Options = new()
    {
        ["offload, streaming, tiling and weights that are read"] = new(
            new() { Offload = true, StreamBlocks = true, TiledDecoding = true, MapWeights = false }, request => request) { IsExact = true },
        [GuidanceEnd] = new(new(), request => request with { GuidanceEnd = 0.5, PreviewInterval = 1 }),
        ["images to begin from"] = new(new(), request => request with { Images = [Picture], Strength = 0.9 }),
        [Lora] = new(new(), request => request),
        ["a block cache"] = new(new(), request => request with { BlockCacheThreshold = 1e9 }) { Refused = "BlockCacheThreshold" },
        ["a part that is painted over"] = new(
            new(), request => request with { Images = [Picture], Mask = UpperHalf, Strength = 1 }) { Refused = "Mask" },
    };

    public static TheoryData<string, string, string> Cases()
    {
        var cases = new TheoryData<string, string, string>();
        foreach (var (m, model) in Models.Index())
        {
            foreach (var (o, (name, option)) in Options.Index())
            {
                if (option.Refused is null)
                {
                    cases.Add(model, FormOf(m + o), name == Lora && model == Models[^1] ? GuidanceEnd : name);
                }
                else
                {
                    // The first form alone is without anchors.
                    cases.Add(model, FormOf(0), name);
                    cases.Add(model, FormOf(1 + ((m + o) % (Forms.Count - 1))), name);
                }
            }
        }

        return cases;

        static string FormOf(int number) => Forms.Keys.ElementAt(number % Forms.Count);
    }

    [Fact]
    public void Every_pair_of_model_form_and_option_is_tried()
    {
        var cases = Cases().Select(row => row.Data).ToList();
        Assert.Equal(Models.Length * Forms.Count, cases.Select(one => (one.Item1, one.Item2)).Distinct().Count());
        Assert.Equal((Models.Length * Options.Count) - 1, cases.Select(one => (one.Item1, one.Item3)).Distinct().Count());
        Assert.Equal(Forms.Count * Options.Count, cases.Select(one => (one.Item2, one.Item3)).Distinct().Count());
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_form_of_a_story_can_have_every_option(string model, string form, string name)
    {
        var ((anchored, draw), option) = (Forms[form], Options[name]);
        using var scope = NewDisposeScope();
        var pipeline = models.Get(model, option.Load);
        draws.Check(pipeline);
        var options = new StoryOptions { Request = option.Request(Quick) };
        if (anchored && option.Refused is { } refused)
        {
            var error = Assert.Throws<ArgumentException>(() => draw(pipeline, options));
            Assert.True(error.Message.Contains(refused, StringComparison.Ordinal), $"{name}: {error.Message}");
        }
        else if (name == Lora)
        {
            using var before = draw(pipeline, options);
            using (new SmallLora(pipeline, 0.1f))
            {
                using var styled = draw(pipeline, options);
                Check(styled);
                Assert.False(styled.Latents.SameBitsAs(before.Latents));
            }

            using var after = draw(pipeline, options);
            TensorAssert.SameBits(before.Latents, after.Latents);
        }
        else
        {
            using var story = draw(pipeline, options);
            Check(story);
            if (option.IsExact)
            {
                using var expected = draw(models.Get(model), options);
                TensorAssert.SameBits(expected.Latents, story.Latents);
            }
        }

        draws.Check(pipeline);
    }

    private static StoryOptions Further(StoryOptions options) => new()
    {
        Request = options.Request!.Images is null ? null : new() { Images = options.Request.Images },
    };

    private static void Check(StoryResult story)
    {
        Assert.Equal(3, story.Scenes.Count);
        Assert.All(story.Scenes, scene => Assert.Equal((Side, Side), (scene.Image.Width, scene.Image.Height)));
        Assert.True(story.Latents.isfinite().all().item<bool>());
    }

    private sealed record Option(PipelineOptions Load, Func<GenerationRequest, GenerationRequest> Request)
    {
        /// <summary>Whether the latents stay as they are without it.</summary>
        public bool IsExact { get; init; }

        /// <summary>What stories with anchors say against it.</summary>
        public string? Refused { get; init; }
    }
}
