using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>What is data goes through System.Text.Json in both directions: what is read is written again as it was.</summary>
public class JsonTests
{
    private static readonly RgbImage Picture = new(2, 1, [255, 0, 0, 0, 0, 255]);
    private static readonly Subject Fox = "a red fox";

    private static readonly GenerationRequest Request = new()
    {
        Prompts = ["a \"fox\" 漢 😀", ""],
        NegativePrompts = ["b"],
        Height = 64,
        Width = 32,
        Steps = 3,
        GuidanceScale = 0.1 + 0.2,
        GuidanceEnd = 0.5,
        BlockCacheThreshold = 1e-9,
        ImagesPerPrompt = 2,
        Seed = long.MinValue,
        Seeds = [1, long.MaxValue],
        Scheduler = new EulerDiscreteScheduler(new() { BetaStart = 0.00085, UseKarrasSigmas = true }),
        LoraScales = new Dictionary<string, double> { ["style"] = -0.5 },
        Images = [Picture],
        Strength = 0.25,
        Mask = Picture,
        Eta = 1,
        LatentsOnly = true,
        PreviewInterval = 2,
    };

    private static readonly Story Story = new()
    {
        Subjects = [Fox, "a cat"],
        Cast = [new("Mia", "a small fox with a scarf") { Aliases = ["the captain"], Noun = "fox" }],
        Scenes =
        [
            new("Mia and a red fox")
            {
                States = new Dictionary<string, string> { ["Mia"] = "in a raincoat" },
                Location = "harbour",
                Seed = 4,
                Image = Picture,
                Subjects = [Fox.As("a fox"), new Subject("a cat").In(new RegionBox(0, 0.25, 0.5, 0.75))],
            },
            new("a cat") { Subjects = [Fox.Absent(), new Subject("a cat").At(Picture)] },
            new("a cat again") { Subjects = [new Subject("a cat").In(Picture)] },
        ],
    };

    private static readonly GenerationTimings Timings = new()
    {
        Encoding = TimeSpan.FromTicks(1), Denoising = TimeSpan.FromDays(2), Decoding = TimeSpan.Zero,
    };

    public static TheoryData<object> Data() =>
    [
        Request,
        new StableDiffusionXLRequest
        {
            Prompts = ["a"], Prompts2 = ["b"], NegativePrompts2 = ["c"], GuidanceRescale = 0.5, ClipSkip = 1, OriginalSize = (64, 32),
            CropsCoordsTopLeft = (1, 2), TargetSize = (8, 16), NegativeOriginalSize = (1, 2), NegativeCropsCoordsTopLeft = (3, 4),
            NegativeTargetSize = (5, 6),
        },
        new Kandinsky3Request { Prompts = ["a"], CutsToLongestPrompt = true },
        new FluxRequest { Prompts = ["a"], Prompts2 = ["b"], NegativePrompts2 = ["c"], TrueCfgScale = 4, MaxSequenceLength = 64 },
        Story,
        new StoryOptions
        {
            Request = new FluxRequest { TrueCfgScale = 2 }, SameNoise = true, Anchors = 1, BatchSize = 2, Candidates = 3, RetryBelow = 0.5,
            BankForm = StoryBankForm.Keys, BankKeysDtype = ScalarType.Float16, Techniques = StoryAttentionOptions.Default,
        },
        new PipelineOptions
        {
            Device = "cuda:1", Dtype = ScalarType.BFloat16, Variant = "fp16", TiledDecoding = true, StreamBlocks = true, Offload = true,
            MapWeights = false, ChecksMemory = false, Scheduler = nameof(DDIMScheduler), Vae = "a", TextEncoder = "b", TextEncoder2 = "c",
            Config = "d", MarksImages = false,
        },
        new GenerationResult
        {
            Images = [Picture], Seeds = [7], Timings = Timings, Warnings = [new(GenerationWarningCode.SchedulerMismatch, "a \u2028 b")],
        },
        new StoryResult
        {
            Timings = Timings,
            Scenes =
            [
                new()
                {
                    Scene = Story.Scenes[0], Prompt = "a", Image = Picture, Seed = 3, Consistency = -1,
                    Subjects = [new() { Subject = Fox, Region = new SubjectRegion(2, 1, [true, false]) }, new() { Subject = "a cat" }],
                },
            ],
        },
        new GenerationProgress
        {
            Stage = GenerationStage.Decoding, Step = 1, Steps = 2, Elapsed = TimeSpan.FromSeconds(1), Remaining = TimeSpan.Zero,
            Previews = [Picture],
        },
        new LoadProgress { Part = "unet", Loaded = 2 },
        new MemoryPlan
        {
            Device = "cpu", Weights = [new("unet", 7)], Stages = [new(GenerationStage.Encoding, 1, 2, "text")], HostBytes = 3,
            Advice = [new("Offload", 4, 5)], BankBytes = 6,
        },
        new TimePlan { Step = TimeSpan.FromSeconds(2), StepRows = 4, Rows = 8, Scenes = 2 },
        new StoryBankCard
        {
            Version = 1, Pipeline = "p", Model = "m", Loras = ["l"], Dtype = "Float32", Request = Request,
            Techniques = StoryAttentionOptions.Default, Story = Story, Seeds = [1], Timesteps = [999, 0.5f], Sigmas = [float.Epsilon, 0],
        },
    ];

    [Theory]
    [MemberData(nameof(Data), DisableDiscoveryEnumeration = true)]
    public void Data_is_read_as_it_was_written(object value)
    {
        foreach (var options in (JsonSerializerOptions[])[JsonSerializerOptions.Default, JsonSerializerOptions.Web])
        {
            var written = JsonSerializer.Serialize(value, value.GetType(), options);
            var read = JsonSerializer.Deserialize(written, value.GetType(), options)!;

            Assert.Equal(written, JsonSerializer.Serialize(read, value.GetType(), options));
            Assert.All(
                value.GetType().GetProperties().Where(property => property.PropertyType.IsValueType && property.CanWrite),
                property => Assert.Equal(property.GetValue(value), property.GetValue(read)));
        }
    }

    [Fact]
    public void Types_of_tensors_are_written_by_their_names()
    {
        Assert.Contains(
            "BFloat16", JsonSerializer.Serialize(new PipelineOptions { Dtype = ScalarType.BFloat16 }), StringComparison.Ordinal);
        Assert.Contains(
            "Float16", JsonSerializer.Serialize(new StoryOptions { BankKeysDtype = ScalarType.Float16 }), StringComparison.Ordinal);
    }

    /// <summary>Every scheduler that a request can hold.</summary>
    [Fact]
    public void A_scheduler_is_read_as_it_was_written()
    {
        foreach (var name in Scheduler.ClassNames)
        {
            var given = Scheduler.FromConfig(JsonDocument.Parse("{}").RootElement, name);
            var written = JsonSerializer.Serialize(new GenerationRequest { Scheduler = given });
            var read = JsonSerializer.Deserialize<GenerationRequest>(written)!.Scheduler!.Instance!;

            Assert.Equal(given.GetType(), read.GetType());
            Assert.Equal(given.CreatePlan(4).Timesteps, read.CreatePlan(4).Timesteps);
        }
    }

    /// <summary>Null where a list is expected is a fault of the request, not of the program.</summary>
    [Theory]
    [InlineData("""{"scenes":null}""")]
    [InlineData("""{"scenes":[null],"subjects":["a fox"]}""")]
    [InlineData("""{"scenes":[{"prompt":null}],"subjects":["a fox"]}""")]
    [InlineData("""{"scenes":[{"prompt":"a fox","subjects":null}],"subjects":["a fox"]}""")]
    [InlineData("""{"scenes":[{"prompt":"a fox","subjects":[null]}],"subjects":["a fox"]}""")]
    [InlineData("""{"scenes":[{"prompt":"a fox","subjects":[{}]}],"subjects":["a fox"]}""")]
    [InlineData("""{"scenes":[{"prompt":"a fox"}],"subjects":null}""")]
    [InlineData("""{"scenes":[{"prompt":"a fox"}],"subjects":[null]}""")]
    [InlineData("""{"scenes":[{"prompt":"Mia"}],"cast":[null]}""")]
    [InlineData("""{"scenes":[{"prompt":"Mia"}],"cast":[{"name":null,"description":"a fox"}]}""")]
    [InlineData("""{"scenes":[{"prompt":"Mia"}],"cast":[{"name":"Mia","description":null}]}""")]
    [InlineData("""{"scenes":[{"prompt":"Mia"}],"cast":[{"name":"Mia","description":"a fox","aliases":[null]}]}""")]
    [InlineData("""{"scenes":[{"prompt":"Mia","states":{"Mia":null}}],"cast":[{"name":"Mia","description":"a fox"}]}""")]
    [InlineData("""{"scenes":[null,{"prompt":"Mia"}],"cast":[{"name":"Mia","description":"a fox"}]}""")]
    public void Nulls_of_a_story_are_refused_in_words(string json)
    {
        var story = JsonSerializer.Deserialize<Story>(json, JsonSerializerOptions.Web)!;
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        Action[] uses =
        [
            () => pipeline.GenerateStory(story), () => pipeline.GenerateStory(story, new() { Anchors = 1 }),
            () => pipeline.CreateBank(story), () => pipeline.PlanMemory(story), () => pipeline.PlanTime(story),
        ];
        Assert.All(uses, use => Assert.Throws<ArgumentException>(use));
    }
}
