using System.Text.Json;
using StorySync.Attention;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class StoryPipelineTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly StoryOptions Quick = new() { Request = new() { Steps = 4, GuidanceScale = 4, Seed = 5 } };

    private static readonly Story Bear = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach"), new("a bear jumping in the snow")],
    };

    private StableDiffusionXLPipeline Pipeline => model.Pipeline;

    [Fact]
    public void With_every_technique_off_the_latents_are_the_plain_pipelines()
    {
        using var plain = Plain(Bear);
        using var story = Pipeline.GenerateStory(Bear, Quick with { Techniques = StoryAttentionOptions.Disabled });

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void With_one_scene_the_latents_are_the_plain_pipelines()
    {
        var single = Bear with { Scenes = [Bear.Scenes[0]] };
        using var plain = Plain(single);
        using var story = Pipeline.GenerateStory(single, Quick);

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void A_story_from_images_has_settings_of_the_model_alone_and_the_same_latents_as_the_plain_pipeline_with_every_technique_off()
    {
        var image = new RgbImage(128, 128, [.. Enumerable.Range(0, 128 * 128 * 3).Select(i => (byte)(i % 251))]);
        var request = new StableDiffusionXLRequest
        {
            Images = [image], Strength = 0.5, Steps = 4, GuidanceScale = 4, GuidanceRescale = 0.3, NegativePrompts = ["a hat"], Seed = 5,
        };
        using var plain = Pipeline.Generate(request with { Prompts = [.. Bear.Scenes.Select(scene => scene.Prompt)], LatentsOnly = true });
        using var off = Pipeline.GenerateStory(Bear, new StoryOptions { Request = request, Techniques = StoryAttentionOptions.Disabled });
        using var on = Pipeline.GenerateStory(Bear, new StoryOptions { Request = request });

        TensorAssert.SameBits(plain.Latents, off.Latents);
        Assert.False(plain.Latents.SameBitsAs(on.Latents));
        Assert.Empty(on.Warnings);
    }

    [Fact]
    public void Same_seed_makes_the_same_story()
    {
        using var first = Pipeline.GenerateStory(Bear, Quick);
        using var second = Pipeline.GenerateStory(Bear, Quick);

        TensorAssert.SameBits(first.Latents, second.Latents);
    }

    [Fact]
    public async Task Two_stories_at_once_are_what_each_is_alone()
    {
        var robot =
            new Story { Subjects = ["a robot"], Scenes = [new("a robot sitting in the city"), new("a robot waving in the desert")] };
        var others = Quick.With(r => r with { Seed = 11 }) with { Techniques = new() { Sharing = new() { Dropout = 0.3 } } };
        using var bearAlone = Pipeline.GenerateStory(Bear, Quick);
        using var robotAlone = Pipeline.GenerateStory(robot, others);

        var bear = Pipeline.GenerateStoryAsync(Bear, Quick, cancellationToken: TestContext.Current.CancellationToken);
        var second = Pipeline.GenerateStoryAsync(robot, others, cancellationToken: TestContext.Current.CancellationToken);
        using var bearBeside = await bear;
        using var robotBeside = await second;

        TensorAssert.SameBits(bearAlone.Latents, bearBeside.Latents);
        TensorAssert.SameBits(robotAlone.Latents, robotBeside.Latents);
    }

    [Theory]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, false)]
    [InlineData(true, false, true)]
    [InlineData(false, true, true)]
    [InlineData(true, true, true)]
    public void Every_subset_of_the_techniques_changes_the_pictures(bool sharing, bool harmonization, bool layout)
    {
        // Interpolation alone mixes queries that are equal: it works against what the other techniques change.
        var changes = sharing || harmonization;
        var off = StoryAttentionOptions.Disabled;
        var all = StoryAttentionOptions.Default;
        var options = Quick with
        {
            Techniques = new()
            {
                Sharing = sharing ? all.Sharing : off.Sharing,
                Harmonization = harmonization ? all.Harmonization! with { Steps = StepRange.All, Threshold = -1 } : off.Harmonization,
                Layout = layout ? all.Layout : off.Layout,
            },
        };
        using var plain = Plain(Bear);
        using var story = Pipeline.GenerateStory(Bear, options);

        Assert.Equal(changes, (plain.Latents - story.Latents).abs().max().item<float>() > 1e-2);
    }

    [Fact]
    public void Options_round_trip_through_JSON()
    {
        var options = Quick with
        {
            SameNoise = true,
            Techniques = new()
            {
                Sharing =
                    new() { Strength = 0.5, Dropout = 0.1, SubjectQueriesOnly = false, Steps = new(0.1, 0.9), Layers = "up_blocks.*" },
                Layout = new() { Until = 0.4 },
            },
        };

        Assert.Equal(options, JsonSerializer.Deserialize<StoryOptions>(JsonSerializer.Serialize(options)));
    }

    public static TheoryData<string, Story, StoryOptions> Mistakes() => new()
    {
        { "no scenes", Bear with { Scenes = [] }, Quick },
        { "no subjects", Bear with { Subjects = [] }, Quick },
        { "\"fox\" does not occur", Bear with { Subjects = ["a fox"] }, Quick },
        { "Scene 2", Bear with { Scenes = [Bear.Scenes[0], new("a cat waving")] }, Quick },
        { "\"a cat\", which is none of the story's", Bear with { Scenes = [new("a bear standing") { Subjects = [new("a cat")] }] }, Quick },
        { "\"a bear\" twice", Bear with { Scenes = [new("a bear standing") { Subjects = [new("a bear"), new("a bear")] }] }, Quick },
        { "\"the Bear\" twice", Bear with { Subjects = ["the Bear", "a bear"] }, Quick },
        { "absent from every scene", Bear with { Scenes = [new("a cat") { Subjects = [new Subject("a bear").Absent()] }] }, Quick },
        { "has Prompts", Bear, Quick.With(r => r with { Prompts = ["a bear"] }) },
        { "has Seeds", Bear, Quick.With(r => r with { Seeds = [1, 2, 3] }) },
        { "has ImagesPerPrompt 2", Bear, Quick.With(r => r with { ImagesPerPrompt = 2 }) },
        { "has LatentsOnly", Bear, Quick.With(r => r with { LatentsOnly = true }) },
        { "is a FluxRequest", Bear, new StoryOptions { Request = new FluxRequest() } },
        { "Sharing.Layers is \"down.*\"", Bear, Quick with { Techniques = new() { Sharing = new() { Layers = "down.*" } } } },
        { "Masks.Layers is \"*.attn1\"", Bear, Quick with { Techniques = new() { Masks = new() { Layers = "*.attn1" } } } },
        { "Steps is 0", Bear, Quick.With(r => r with { Steps = 0 }) },
        { "GuidanceEnd is -1;", Bear, Quick.With(r => r with { GuidanceEnd = -1 }) },
        { "BlockCacheThreshold is -1;", Bear, Quick.With(r => r with { BlockCacheThreshold = -1 }) },
        { "multiples of 8", Bear, Quick.With(r => r with { Width = 100 }) },
        { "proportions", Bear with { Scenes =
            [Bear.Scenes[0] with { Subjects = [new Subject("a bear").At(new RgbImage(2, 1, new byte[6]))] }] }, Quick },
    };

    [Theory]
    [MemberData(nameof(Mistakes), DisableDiscoveryEnumeration = true)]
    public void A_mistake_is_one_clear_error_before_any_work(string part, Story story, StoryOptions options)
    {
        var stages = new Stages();
        var error = Assert.Throws<ArgumentException>(() => Pipeline.GenerateStory(story, options, stages));

        Assert.Contains(part, error.Message, StringComparison.Ordinal);
        Assert.Empty(stages.Seen);
    }

    [Fact]
    public void An_option_out_of_range_is_refused_where_it_is_set()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new SharingOptions { Strength = -1 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new HarmonizationOptions { Alpha = 1.5 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new LayoutOptions { Until = 2 });
    }

    [Fact]
    public void Given_masks_are_the_masks_of_the_story()
    {
        var left = new RgbImage(4, 4, [.. Enumerable.Range(0, 16).SelectMany(i => Enumerable.Repeat((byte)(i % 4 < 2 ? 255 : 0), 3))]);
        var masked = Bear with { Scenes = [.. Bear.Scenes.Select(scene => scene with { Subjects = [new Subject("a bear").At(left)] })] };

        using var story = Pipeline.GenerateStory(masked, Quick);

        Assert.All(story.Scenes, scene => Assert.Equal(0.5, scene.Subjects[0].Region!.Area));
        Assert.All(story.Scenes, scene => Assert.True(scene.Subjects[0].Region!.Cells[0]));
    }

    [Fact]
    public void A_scene_may_lack_the_subject()
    {
        var absent = Bear with { Scenes =
            [.. Bear.Scenes.Take(2), new("a cat sitting in the city") { Subjects = [new Subject("a bear").Absent()] }] };
        using var plain = Plain(absent);
        using var story =
            Pipeline.GenerateStory(absent, Quick with { Techniques = new() { Layout = StoryAttentionOptions.Disabled.Layout! } });

        Assert.Null(story.Scenes[2].Subjects[0].Region);
        TensorAssert.SameBits(plain.Latents[2], story.Latents[2]);
        Assert.False(plain.Latents[0].SameBitsAs(story.Latents[0]));
    }

    [Fact]
    public void Cancelling_stops_the_run()
    {
        using var source = new CancellationTokenSource();
        var stages = new Stages { OnReport = progress => Cancel(progress, source) };

        Assert.Throws<OperationCanceledException>(() => Pipeline.GenerateStory(Bear, Quick, stages, source.Token));
        Assert.DoesNotContain(stages.Seen, progress => progress.Step > 2);
    }

    [Fact]
    public void Progress_counts_the_steps_and_previews_come_when_asked_for()
    {
        var stages = new Stages();
        using var story = Pipeline.GenerateStory(Bear, Quick.With(r => r with { PreviewInterval = 2 }), stages);

        var steps = stages.Seen.Where(p => p is { Stage: GenerationStage.Denoising }).ToList();
        Assert.Equal([1, 2, 3, 4], steps.Select(p => p.Step));
        Assert.All(steps, p => Assert.Equal(4, p.Steps));
        Assert.Equal([0, 3, 0, 3], steps.Select(p => p.Previews?.Count ?? 0));
        Assert.Equal(GenerationStage.Done, stages.Seen[^1].Stage);
    }

    private static void Cancel(GenerationProgress progress, CancellationTokenSource source)
    {
        if (progress.Step == 2)
        {
            source.Cancel();
        }
    }

    private GenerationResult Plain(Story story) => model.Pipeline.Generate(new GenerationRequest
    {
        Prompts = [.. story.Scenes.Select(scene => scene.Prompt)],
        Steps = Quick.Request!.Steps,
        GuidanceScale = Quick.Request!.GuidanceScale,
        Seed = Quick.Request!.Seed,
        LatentsOnly = true,
    });

    private sealed class Stages : IProgress<GenerationProgress>
    {
        public List<GenerationProgress> Seen { get; } = [];

        public Action<GenerationProgress>? OnReport { get; init; }

        public void Report(GenerationProgress value)
        {
            Seen.Add(value);
            OnReport?.Invoke(value);
        }
    }
}
