using StorySync.Attention;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Requests and stories with numbers and members that cannot be, on every model: each is refused by an ArgumentException that
/// names what is wrong, before any work, or drawn.</summary>
public sealed class HostileRequestTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private static readonly GenerationRequest Cat = new() { Prompts = ["a cat"], Steps = 2, Seed = 1, Height = 64, Width = 64 };
    private static readonly RgbImage Picture = new(64, 64, new byte[3 * 64 * 64]);
    private static readonly RgbImage White = new(64, 64, [.. Enumerable.Repeat((byte)255, 3 * 64 * 64)]);
    private static readonly Subject Bear = new("a bear");
    private static readonly Story Bears = new() { Subjects = [Bear], Scenes = [new("a bear standing"), new("a bear waving")] };
    private static readonly StoryOptions Quick = new() { Request = Cat with { Prompts = [] } };

    public static TheoryData<string> Models() => ["tiny-sdxl", "tiny-kandinsky3", "tiny-flux"];

    /// <summary>What is refused, and what the message says.</summary>
    private static readonly (string Part, GenerationRequest Request)[] Refused =
    [
        ("Steps is 0", Cat with { Steps = 0 }), ("Steps is -2147483648", Cat with { Steps = int.MinValue }),
        ("Steps is 2147483647", Cat with { Steps = int.MaxValue }),
        ("Height is 0", Cat with { Height = 0 }), ("Height is -8", Cat with { Height = -8 }),
        ("Width is 131080", Cat with { Width = 131_080 }), ("Width is 2147483647", Cat with { Width = int.MaxValue }),
        ("GuidanceScale is", Cat with { GuidanceScale = double.NaN }), ("GuidanceScale is", Cat with { GuidanceScale = 1 / 0.0 }),
        ("GuidanceEnd is 0", Cat with { GuidanceEnd = 0 }), ("GuidanceEnd is NaN", Cat with { GuidanceEnd = double.NaN }),
        ("GuidanceEnd is 1.5", Cat with { GuidanceEnd = 1.5 }), ("GuidanceEnd is -1", Cat with { GuidanceEnd = -1 }),
        ("BlockCacheThreshold is -1", Cat with { BlockCacheThreshold = -1 }),
        ("BlockCacheThreshold is NaN", Cat with { BlockCacheThreshold = double.NaN }),
        ("BlockCacheThreshold is", Cat with { BlockCacheThreshold = double.PositiveInfinity }),
        ("PreviewInterval is -1", Cat with { PreviewInterval = -1 }),
        ("Eta is NaN", Cat with { Eta = double.NaN }), ("Eta is 2", Cat with { Eta = 2 }),
        ("Strength is 0", Cat with { Strength = 0, Images = [Picture] }), ("Strength is NaN", Cat with { Strength = double.NaN }),
        ("Strength is 1.1", Cat with { Strength = 1.1, Images = [Picture] }), ("Strength is", Cat with { Strength = -1 / 0.0 }),
        ("ImagesPerPrompt is 0", Cat with { ImagesPerPrompt = 0 }), ("ImagesPerPrompt is -1", Cat with { ImagesPerPrompt = -1 }),
        ("4294967296 images", Cat with { Prompts = ["a", "b", "c", "d"], ImagesPerPrompt = 1 << 30 }),
        ("Prompts is empty", Cat with { Prompts = [] }), ("Prompts is empty", Cat with { Prompts = null! }),
        ("Prompts holds a null", Cat with { Prompts = [null!] }), ("Prompts holds a null", Cat with { Prompts = ["a", null!] }),
        ("NegativePrompts holds a null", Cat with { NegativePrompts = [null!] }),
        ("NegativePrompts has 0 entries", Cat with { NegativePrompts = [] }),
        ("NegativePrompts has 3 entries", Cat with { NegativePrompts = ["", "", ""] }),
        ("Seeds has 0 entries", Cat with { Seeds = [] }), ("Seeds has 2 entries", Cat with { Seeds = [1, 2] }),
        ("Images is empty", Cat with { Images = [] }), ("Images holds a null", Cat with { Images = [null!] }),
        ("Images has 2 entries", Cat with { Images = [Picture, Picture] }),
        ("There is a Mask but no image", Cat with { Mask = White }),
        ("LoraScales names 'x'", Cat with { LoraScales = new Dictionary<string, double> { ["x"] = 1 } }),
    ];

    /// <summary>Stories that are refused, and what the message says.</summary>
    private static readonly (string Part, Story Story, StoryOptions Options)[] RefusedStories =
    [
        ("no scenes", Bears with { Scenes = [] }, Quick), ("no scenes", Bears with { Scenes = null! }, Quick),
        ("Scene 2 is null", Bears with { Scenes = [Bears.Scenes[0], null!] }, Quick),
        ("Scene 1 has no prompt", Bears with { Scenes = [new(null!)] }, Quick),
        ("no subjects", Bears with { Subjects = [] }, Quick), ("no subjects", Bears with { Subjects = null! }, Quick),
        ("empty phrase", Bears with { Subjects = [null!] }, Quick), ("empty phrase", Bears with { Subjects = [new(null!)] }, Quick),
        ("empty phrase", Bears with { Subjects = [" "] }, Quick),
        ("The cast holds a null", Bears with { Cast = [null!] }, Quick),
        ("empty name", Bears with { Cast = [new(null!, "a bear")] }, Quick),
        ("no description", Bears with { Cast = [new("Mia", null!)] }, Quick),
        ("name", Bears with { Cast = [new("Mia", "a bear") { Aliases = [null!] }] }, Quick),
        ("Subjects is null or holds a null", One(scene => scene with { Subjects = null! }), Quick),
        ("Subjects is null or holds a null", One(scene => scene with { Subjects = [null!] }), Quick),
        ("Subjects is null or holds a null", One(scene => scene with { Subjects = [new(null!)] }), Quick),
        ("empty Location", One(scene => scene with { Location = "" }), Quick),
        ("mask is 8×4", One(scene => scene with { Subjects = [Bear.At(new(8, 4, new byte[96]))] }), Quick),
        ("has no white", One(scene => scene with { Subjects = [Bear.At(new(1, 1, new byte[3]))] }), Quick),
        ("region is 1×2", One(scene => scene with { Subjects = [Bear.In(new RgbImage(1, 2, new byte[6]))] }), Quick),
        ("twice", One(scene => scene with { Subjects = [Bear.Absent(), new(Bear)] }), Quick),
        ("has an Image", One(scene => scene with { Image = Picture }), Quick),
        ("Candidates is 0", Bears, Quick with { Candidates = 0 }), ("Candidates is -1", Bears, Quick with { Candidates = -1, Anchors = 1 }),
        ("Candidates is 2147483647", Bears, Quick with { Candidates = int.MaxValue, Anchors = 1 }),
        ("RetryBelow is NaN", Bears, Quick with { Candidates = 2, RetryBelow = double.NaN, Anchors = 1 }),
        ("BatchSize is 0", Bears, Quick with { BatchSize = 0 }), ("BatchSize is -1", Bears, Quick with { BatchSize = -1, Anchors = 1 }),
        ("Anchors is 0", Bears, Quick with { Anchors = 0 }), ("Anchors is 3", Bears, Quick with { Anchors = 3 }),
        ("Anchors is -2147483648", Bears, Quick with { Anchors = int.MinValue }),
        ("has Prompts", Bears, Quick with { Request = Cat }),
        ("has Seeds", Bears, Quick with { Request = Quick.Request! with { Seeds = [1] } }),
        ("ImagesPerPrompt 2", Bears, Quick with { Request = Quick.Request! with { ImagesPerPrompt = 2 } }),
        ("Steps is 0", Bears, Quick with { Request = Quick.Request! with { Steps = 0 } }),
        ("NegativePrompts has 3", Bears, Quick with { Request = Quick.Request! with { NegativePrompts = ["", "", ""] } }),
    ];

    /// <summary>What is odd and drawn, or ends in numbers that are none.</summary>
    private static readonly (GenerationRequest Request, string What)[] Odd =
    [
        (Cat with { GuidanceScale = -3 }, "negative guidance"), (Cat with { GuidanceScale = 1e308 }, "guidance of 1e308"),
        (Cat with { Seed = long.MaxValue, ImagesPerPrompt = 2 }, "the largest seed"), (Cat with { Seed = long.MinValue }, "the least seed"),
        (Cat with { Seed = -1 }, "a negative seed"), (Cat with { PreviewInterval = int.MaxValue }, "the largest interval"),
        (Cat with { GuidanceEnd = double.Epsilon, GuidanceScale = 4 }, "the least end of guidance"),
        (Cat with { BlockCacheThreshold = double.MaxValue }, "the largest threshold"),
        (Cat with { Prompts = [""] }, "an empty prompt"), (Cat with { Prompts = ["\ud800\0\u0301"] }, "half a surrogate pair and a zero"),
        (Cat with { Prompts = [new string('x', 300_000)] }, "a long prompt"), (Cat with { Steps = 1, Eta = 1 }, "a single step"),
        (Cat with { Strength = 1, Images = [new(1, 1, new byte[3])] }, "a picture of one pixel"),
    ];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_request_that_cannot_be_is_refused_by_run_and_plan(string model)
    {
        var pipeline = models.Get(model);
        foreach (var (part, request) in Refused)
        {
            AssertRefused(part, () => pipeline.Generate(request, new Unexpected()));
            AssertRefused(part, () => pipeline.PlanMemory(request));
        }

        AssertRefused("mask", () => pipeline.Generate(Cat with { Images = [Picture], Mask = new(8, 8, new byte[192]) }));
        AssertRefused("Mask", () => pipeline.Generate(Cat with { Images = [Picture], Mask = Picture }), ignoresCase: true);
        AssertRefused("shape", () => pipeline.Generate(Cat with { Latents = zeros(1, 1) }));
        if (model != "tiny-flux")
        {
            // FLUX makes a step that the strength covers in part.
            AssertRefused("leaves none", () => pipeline.Generate(Cat with { Strength = double.Epsilon, Images = [Picture] }));
        }

        AssertRefused("LatentsOnly", () => pipeline.GenerateStory(Bears, Quick with { Request = new() { LatentsOnly = true } }));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_story_that_cannot_be_is_refused_by_run_and_plans(string model)
    {
        var pipeline = models.Get(model);
        foreach (var (part, story, options) in RefusedStories)
        {
            AssertRefused(part, () => pipeline.GenerateStory(story, options, new Unexpected()));
            AssertRefused(part, () => pipeline.PlanMemory(story, options));
            AssertRefused(part, () => pipeline.PlanTime(story, options));
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Scenes_of_a_bank_that_cannot_be_are_refused(string model)
    {
        var pipeline = models.Get(model);
        using var bank = pipeline.CreateBank(Bears, Quick);
        (string Part, IReadOnlyList<Scene> Scenes, StoryOptions Options)[] cases =
        [
            ("no scenes", [], new()), ("Scene 3 is null", [null!], new()), ("has no prompt", [new(null!)], new()),
            ("BatchSize is 0", [Bears.Scenes[0]], new() { BatchSize = 0 }),
            ("Candidates is 0", [Bears.Scenes[0]], new() { Candidates = 0 }),
            ("does not occur", [new("a house")], new()), ("has an Image", [new("a bear") { Image = Picture }], new()),
        ];
        foreach (var (part, scenes, options) in cases)
        {
            AssertRefused(part, () => pipeline.GenerateScenes(bank, scenes, options, new Unexpected()));
            AssertRefused(part, () => pipeline.PlanMemory(bank, scenes, options));
            AssertRefused(part, () => pipeline.PlanTime(bank, scenes, options));
        }

        using var large = pipeline.GenerateScenes(bank, [Bears.Scenes[0]], new() { BatchSize = int.MaxValue });
        bank.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pipeline.GenerateScenes(bank, [Bears.Scenes[0]]));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void What_is_odd_is_drawn_or_ends_in_the_exception_of_its_kind(string model)
    {
        var pipeline = models.Get(model);
        foreach (var (request, what) in Odd)
        {
            var error = Record.Exception(() => pipeline.Generate(request).Dispose());
            Assert.True(error is null or NonFiniteException, $"{what}: {error}");
        }

        foreach (var techniques in new StoryAttentionOptions[]
        {
            new() { Sharing = new() { Strength = double.MaxValue } }, new() { Masks = new() { Closing = int.MaxValue } },
            new() { Masks = new() { MaxGrid = int.MaxValue, Components = int.MaxValue, ReadyAfterLayers = int.MaxValue } },
            new() { Location = new() { Strength = double.MaxValue } }, new() { Harmonization = new() { Temperature = 0.001,
                Threshold = -1 } },
        })
        {
            var options = Quick with { Techniques = techniques };
            var error = Record.Exception(() => pipeline.GenerateStory(Bears, options).Dispose());
            Assert.True(error is null or NonFiniteException, $"{techniques}: {error}");
            Assert.True(pipeline.PlanMemory(Bears, options with { Anchors = 1 }).BankBytes > 0);
        }
    }

    private static Story One(Func<Scene, Scene> change) => Bears with { Scenes = [change(Bears.Scenes[0]), Bears.Scenes[1]] };

    private static void AssertRefused(string part, Action call, bool ignoresCase = false)
    {
        var error = Record.Exception(call);
        Assert.True(error is ArgumentException and not ArgumentNullException, $"{part}: {error?.ToString() ?? "nothing"}");
        Assert.Contains(part, error!.Message, ignoresCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", error.Message, StringComparison.Ordinal);
    }

    private sealed class Unexpected : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => Assert.Fail("The generation began.");
    }
}
