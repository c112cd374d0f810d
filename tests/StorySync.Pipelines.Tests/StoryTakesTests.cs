using System.Text.Json;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Several takes of a scene, of which the best is kept.</summary>
public sealed class StoryTakesTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private static readonly Story Anchors = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly Scene[] Further =
    [
        new("a bear reading in the library") { Seed = 11 },
        new("a bear running through the snow"),
        new("an old city") { Seed = 6, Subjects = [new Subject("a bear").Absent()] },
    ];

    private static readonly GenerationRequest Quick = new() { Steps = 3, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64 };

    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public void The_best_take_is_kept_as_it_is_alone(string model)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        using var kept = pipeline.GenerateScenes(bank, Further, new() { Candidates = 3, BatchSize = 2 });
        for (var i = 0; i < 2; i++)
        {
            long first = i == 0 ? 11 : 8;
            using var takes = pipeline.GenerateScenes(
                bank, [.. Enumerable.Range(0, 3).Select(take => Further[i] with { Seed = first + (1000 * take) })]);
            var best = takes.Scenes.Index().MaxBy(take => take.Item.Consistency).Index;
            Assert.Equal(takes.Scenes[best].Seed, kept.Scenes[i].Seed);
            Assert.Equal(takes.Scenes[best].Consistency, kept.Scenes[i].Consistency);
            Assert.Equal(takes.Scenes[best].Image.Pixels.ToArray(), kept.Scenes[i].Image.Pixels.ToArray());
            TensorAssert.SameBits(takes.Latents[best], kept.Latents[i]);
            Assert.Equal(3, takes.Scenes.Select(take => take.Consistency).Distinct().Count());
            Assert.All(takes.Scenes, take => Assert.InRange(take.Consistency!.Value, -1.000001, 1.000001));
        }

        // Nothing can be said of a scene without the subject: it has its first take.
        Assert.Equal((6, null), (kept.Scenes[2].Seed, kept.Scenes[2].Consistency));
        Assert.Equal(Further, kept.Scenes.Select(scene => scene.Scene));
    }

    [Fact]
    public void Only_scenes_below_the_threshold_get_one_more_take()
    {
        var pipeline = models.Get("storybook");
        using var bank = pipeline.CreateBank(Anchors, new() { Request = Quick });
        var (seen, batches) = (new List<long>(), new List<long>());
        var progress = new List<GenerationProgress>();
        var options = new StoryOptions
        {
            Candidates = 4,
            RetryBelow = 0.5,
            BatchSize = 3,
            Scorer = scene =>
            {
                seen.Add(scene.Seed);
                return scene.Seed == 1011 ? 0.5 : scene.Seed == 11 ? 0.1 : scene.Seed == 1008 ? 0.4 : scene.Seed == 6 ? 0.9 : 0.2;
            },
            Request = new() { OnStep = step => batches.Add(step.Latents.shape[0]) },
        };
        using var result = pipeline.GenerateScenes(bank, Further, options, new Report(progress));

        Assert.Equal([11, 8, 6, 1011, 1008, 2008, 3008], seen);
        Assert.Equal([3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1], batches);
        Assert.Equal([1011, 1008, 6], result.Scenes.Select(scene => scene.Seed));
        Assert.Equal([0.5, 0.4, 0.9], result.Scenes.Select(scene => scene.Consistency!.Value));
        Assert.Single(progress, value => value.Stage == GenerationStage.Done);

        progress.Clear();
        using var early = pipeline.GenerateScenes(bank, Further, options with { RetryBelow = 0.05 }, new Report(progress));
        Assert.Equal([11, 8, 6], early.Scenes.Select(scene => scene.Seed));
        Assert.Equal((GenerationStage.Done, 3, 3), (progress[^1].Stage, progress[^1].Step, progress[^1].Steps));
    }

    [Fact]
    public void Takes_of_a_story_with_anchors_are_those_of_its_bank()
    {
        var pipeline = models.Get("storybook");
        var story = Anchors with { Scenes = [.. Anchors.Scenes, .. Further] };
        var options = new StoryOptions { Candidates = 2, Request = Quick };
        using var whole = pipeline.GenerateStory(story, options with { Anchors = 2 });
        using var scenes = pipeline.GenerateScenes(whole.Bank!, Further, new() { Candidates = 2 });
        using var anchors = pipeline.GenerateStory(Anchors, options);

        TensorAssert.SameBits(scenes.Latents, whole.Latents.narrow(0, 2, 3));
        Assert.Equal([null, null, .. scenes.Scenes.Select(scene => scene.Consistency)], whole.Scenes.Select(scene => scene.Consistency));
        Assert.Contains(anchors.Warnings, warning => warning.Message.StartsWith("Candidates has no effect", StringComparison.Ordinal));
        Assert.Equal(
            2 * pipeline.PlanTime(whole.Bank!, Further).Rows, pipeline.PlanTime(whole.Bank!, Further, new() { Candidates = 2 }).Rows);
    }

    [Fact]
    public void Consistency_is_the_mean_cosine_of_mean_latents()
    {
        using var scope = NewDisposeScope();

        // Two channels; (3, 4) everywhere in the first anchor, (0, 2) where the second has the subject, (1, 0) and (1, 2) in the image.
        var values = tensor(new float[] { 3, 3, 3, 3, 4, 4, 4, 4, 0, 9, 9, 9, 2, 9, 9, 9, 1, 1, 9, 9, 0, 2, 9, 9 }).reshape(3, 2, 2, 2);
        var score = new SubjectConsistency(values.repeat_interleave(2, 2).repeat_interleave(2, 3), 2);
        var (all, one, two, none) = (Mask(true, true, true, true), Mask(true, false, false, false), Mask(true, true, false, false),
            Mask(false, false, false, false));
        var expected = (1.4 + 1) / 2 * Math.Sqrt(0.5);

        Assert.Equal(expected, score.Of(2, [[all, one, two]])!.Value, 5);
        Assert.Equal(1.4 * Math.Sqrt(0.5), score.Of(2, [[all, null, two]])!.Value, 5);
        Assert.Equal(1.4 * Math.Sqrt(0.5), score.Of(2, [[all, none, two]])!.Value, 5);
        Assert.Equal((expected - 1) / 2, score.Of(2, [[all, one, two], [one, one, none]])!.Value, 5);
        Assert.Equal(expected, score.Of(2, [[all, one, two], [one, one, null], [null, none, two]])!.Value, 5);
        Assert.Null(score.Of(2, [[one, one, null]]));

        static Tensor Mask(params bool[] cells) => tensor(cells).reshape(2, 2);
    }

    [Fact]
    public void Options_of_takes_are_checked_and_serialized()
    {
        var pipeline = models.Get("storybook");
        foreach (var (options, what) in new[]
        {
            (new StoryOptions { Candidates = 0, Anchors = 1 }, "Candidates is 0"),
            (new StoryOptions { RetryBelow = 0.5, Anchors = 1 }, "RetryBelow is 0.5"),
        })
        {
            Assert.Contains(
                what, Assert.Throws<ArgumentException>(() => pipeline.GenerateStory(Anchors, options)).Message, StringComparison.Ordinal);
        }

        var json = JsonSerializer.Serialize(new StoryOptions { Candidates = 3, RetryBelow = 0.25, Scorer = _ => 0 });
        var back = JsonSerializer.Deserialize<StoryOptions>(json)!;
        Assert.Equal((3, 0.25, null), (back.Candidates, back.RetryBelow, back.Scorer));
    }

    private sealed class Report(List<GenerationProgress> seen) : IProgress<GenerationProgress>
    {
        void IProgress<GenerationProgress>.Report(GenerationProgress value) => seen.Add(value);
    }
}
