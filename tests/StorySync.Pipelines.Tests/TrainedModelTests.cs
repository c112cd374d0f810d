using System.Collections.Concurrent;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>What the embedded model shows of SDXL, on trained models of the other architectures.</summary>
public class TrainedModelTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private const string Flux = "storybook-flux";
    private const string Kandinsky3 = "storybook-kandinsky3";

    private static readonly GenerationRequest Cat =
        new() { Prompts = ["a red cat standing in the forest"], Seed = 7, Steps = 4, LatentsOnly = true };

    private static readonly Story Bear = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    public static TheoryData<string> Models => [Flux, Kandinsky3];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_story_with_a_cache_skips_steps_and_still_finds_its_subject(string model)
    {
        var options = new StoryOptions { Request = new() { Steps = 6, Seed = 5 } };
        using var exact = models.Get(model).GenerateStory(Bear, options);
        using var never = models.Get(model).GenerateStory(Bear, options.With(r => r with { BlockCacheThreshold = 1e-9 }));
        using var cached = models.Get(model).GenerateStory(Bear, options.With(r => r with { BlockCacheThreshold = 1e9 }));

        TensorAssert.SameBits(exact.Latents, never.Latents);
        Assert.False(exact.Latents.SameBitsAs(cached.Latents));
        Assert.All(cached.Scenes, scene => Assert.InRange(scene.Subjects[0].Region!.Area, 0.01, 0.99));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_picture_that_begins_from_another_is_nearer_to_it_the_less_strength_it_has(string model)
    {
        var pipeline = models.Get(model);
        using var first = pipeline.Generate(Cat with { Steps = 8, LatentsOnly = false });
        double[] distances =
        [
            .. new[] { 0.25, 1 }.Select(strength =>
            {
                using var second = pipeline.Generate(
                    Cat with { Steps = 8, LatentsOnly = false, Images = [first.Images[0]], Strength = strength, Seed = 99 });
                return Distance(first.Images[0], second.Images[0]);
            }),
        ];

        Assert.InRange(distances[0], 0.5, distances[1] / 2);
    }

    /// <summary>T5's tokens name the subject: where a red and a blue one differ on the same noise, there it is. Not so on the small FLUX,
    /// whose words know nothing of places (docs/evaluation.md).</summary>
    [Fact]
    public void The_mask_from_the_tokens_of_T5_lies_where_the_subject_is()
    {
        var (inside, outside) = (0.0, 0.0);
        using var red = Draw("red");
        using var blue = Draw("blue");
        for (var scene = 0; scene < red.Scenes.Count; scene++)
        {
            var region = red.Scenes[scene].Subjects[0].Region!;
            var mask = region.ToImage(128, 128).Pixels;
            var a = red.Scenes[scene].Image.Pixels;
            var b = blue.Scenes[scene].Image.Pixels;
            for (var i = 0; i < mask.Length; i++)
            {
                var difference = Math.Abs(a[i] - b[i]);
                inside += mask[i] > 0 ? difference / region.Area : 0;
                outside += mask[i] > 0 ? 0 : difference / (1 - region.Area);
            }
        }

        Assert.True(inside > 1.5 * outside, $"{inside / outside:f2}");

        StoryResult Draw(string color) => models.Get(Kandinsky3).GenerateStory(
            new Story
            {
                Subjects = [$"a {color} bear"],
                Scenes = [new($"a {color} bear standing in the forest"), new($"a {color} bear waving at the beach")],
            },
            new StoryOptions { Request = new() { Seed = 3 } });
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task Pictures_of_one_batch_and_of_runs_at_the_same_time_are_what_each_is_alone(string model)
    {
        string[] prompts = ["a red cat standing in the forest", "a bear with a blue hat, holding a balloon, at the beach"];
        var pipeline = models.Get(model);
        var alone = prompts.Select((prompt, i) => pipeline.Generate(Cat with { Prompts = [prompt], Seed = 7 + i })).ToList();
        using var batch = pipeline.Generate(Cat with { Prompts = prompts });
        var together = await Task.WhenAll(prompts.Select((prompt, i) =>
            pipeline.GenerateAsync(Cat with { Prompts = [prompt], Seed = 7 + i })));

        for (var i = 0; i < prompts.Length; i++)
        {
            TensorAssert.SameBits(alone[i].Latents, together[i].Latents);
            using var row = batch.Latents.narrow(0, i, 1);
            TensorAssert.Close(alone[i].Latents, row, relative: 1e-5);
        }

        alone.Concat(together).ToList().ForEach(result => result.Dispose());
    }

    [Fact]
    public void A_story_on_FLUX_has_the_models_real_guidance_or_its_own()
    {
        var own = Story(new() { TrueCfgScale = 2.5, NegativePrompts = [""] });
        using var left = Story(new());
        using var stronger = Story(new() { TrueCfgScale = 4 });
        using var off = Story(new() { TrueCfgScale = 1 });
        using var away = Story(new() { NegativePrompts = ["a red bear in the snow"] });

        Assert.Empty(left.Warnings);
        TensorAssert.SameBits(own.Latents, left.Latents);
        Assert.All(new[] { stronger, off, away }, other => Assert.False(left.Latents.SameBitsAs(other.Latents)));
        own.Dispose();

        StoryResult Story(FluxRequest request) =>
            models.Get(Flux).GenerateStory(Bear, new StoryOptions { Request = request with { Steps = 3, Seed = 5 } });
    }

    [Fact]
    public void A_request_on_FLUX_is_as_long_as_the_tokenizer_says()
    {
        using var left = models.Get(Flux).Generate(Cat);
        using var said = models.Get(Flux).Generate(new FluxRequest
        {
            Prompts = Cat.Prompts, Seed = Cat.Seed, Steps = Cat.Steps, LatentsOnly = true, MaxSequenceLength = 32,
        });
        TensorAssert.SameBits(said.Latents, left.Latents);
        Assert.Contains(
            "MaxSequenceLength is 33; it must be from 1 to 32, the model_max_length of tokenizer_2.",
            Assert.Throws<ArgumentException>(() =>
                models.Get(Flux).Generate(new FluxRequest { Prompts = Cat.Prompts, MaxSequenceLength = 33 })).Message,
            StringComparison.Ordinal);
    }

    private static double Distance(RgbImage first, RgbImage second) =>
        first.Pixels.ToArray().Zip(second.Pixels.ToArray(), (a, b) => Math.Abs(a - b)).Average();

    private sealed class Watch(Action<GenerationProgress> onReport) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => onReport(value);
    }

    [Collection(typeof(AloneCollection))]
    public sealed class Memory(LoadedModels models) : IClassFixture<LoadedModels>
    {
        [Theory]
        [MemberData(nameof(Models), MemberType = typeof(TrainedModelTests))]
        public void A_story_and_a_cancelled_one_leave_no_tensor_behind(string model) => LiveTensors.AssertNoneLeft(() =>
        {
            var options = new StoryOptions { Request = new() { Steps = 3, Seed = 5, PreviewInterval = 1 } };
            var previews = new ConcurrentQueue<int>();
            models.Get(model).GenerateStory(Bear, options, new Watch(value => previews.Enqueue(value.Previews?.Count ?? 0))).Dispose();
            Assert.Equal(6, previews.Sum());

            using var source = new CancellationTokenSource();
            var steps = 0;
            var progress = new Watch(value =>
            {
                steps = value.Step;
                if (value.Step == 1)
                {
                    source.Cancel();
                }
            });
            Assert.Throws<OperationCanceledException>(() => models.Get(model).GenerateStory(Bear, options, progress, source.Token));
            Assert.Equal(1, steps);
        });
    }
}
