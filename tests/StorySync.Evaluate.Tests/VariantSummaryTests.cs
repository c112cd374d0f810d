using StorySync.Attention;
using StorySync.Evaluation;
using StorySync.Pipelines;
using StorySync.Samples.Evaluate;

namespace StorySync.Evaluate.Tests;

public class VariantSummaryTests
{
    private static readonly Variant[] Variants =
        [.. VariantList.Make(new StoryOptions { Request = new() { Steps = 9 }, Techniques = StoryAttentionOptions.Default }, ["sharing"],
            ["scenes=2", "steps=3"], ["plain", "all"])];

    [Fact]
    public void Changes_are_of_each_story_from_its_own_plain_run()
    {
        var sharing = Summary("sharing",
            Record("plain", "a", 0.1), Record("plain", "b", 0.7), Record("sharing", "a", 0.4), Record("sharing", "b", 1.0));
        Assert.Equal(0.7, sharing.Figures["clip_i"].Mean, 1e-12);
        var change = sharing.Changes["clip_i"];
        Assert.Equal((0.3, 0.3, 0.3, 2), (Math.Round(change.Mean, 9), Math.Round(change.Low, 9), Math.Round(change.High, 9), change.Count));
    }

    [Theory]
    [InlineData("all, scenes 2", "plain, scenes 2")]
    [InlineData("all, steps 3", "plain, steps 3")]
    public void Changes_are_from_a_plain_run_of_as_many_scenes_and_steps(string variant, string plain)
    {
        var summary = Summary(variant, Record("plain", "a", 0.1), Record(plain, "a", 0.2), Record(variant, "a", 0.5));
        Assert.Equal(0.3, summary.Changes["clip_i"].Mean, 1e-12);
        Assert.Empty(Summary(variant, Record("plain", "a", 0.1), Record(variant, "a", 0.5)).Changes);
    }

    [Fact]
    public void The_plain_model_has_no_changes() => Assert.Empty(Summary("plain", Record("plain", "a", 0.1)).Changes);

    private static VariantSummary Summary(string variant, params StoryRecord[] records) =>
        VariantSummary.Of(Variants, records).Single(summary => summary.Variant.Name == variant);

    private static StoryRecord Record(string name, string story, double clipI)
    {
        var variant = Variants.Single(variant => variant.Name == name);
        return new StoryRecord
        {
            Job = new StoryJob
            {
                Model = "m", Clip = "c", Device = "cpu", Dtype = "Float32", Variant = name, Story = story, Subject = "a cat",
                Prompts = [.. Enumerable.Range(0, variant.Scenes ?? 4).Select(i => $"scene {i}")], Options = variant.Options,
            },
            Seeds = [], Masks = [], Measures = new StoryMeasures { ClipI = clipI }, Seconds = 1, SecondsPerScene = 1, PeakMiB = 1,
        };
    }
}
