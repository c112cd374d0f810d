using System.Text.RegularExpressions;
using StorySync.Evaluation;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class BlindPageTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly OutputFolder output;
    private readonly RunFolder runs;

    public BlindPageTests()
    {
        output = OutputFolder.Open("--output", folder.Path);
        runs = new RunFolder(output);
        foreach (var story in (string[])["s1", "s2", "s3", "s4"])
        {
            Keep("first-way", story);
            Keep("second-way", story);
        }

        Keep("first-way", "only-once");
    }

    [Fact]
    public void The_page_shows_stories_of_both_variants_and_says_no_variant()
    {
        var (page, key) = Write(shuffle: 1);
        Assert.Equal(["s1", "s2", "s3", "s4"], key.Pairs.Select(pair => pair.Story).Order());
        Assert.All(key.Pairs, pair => Assert.Equal(["first-way", "second-way"], new[] { pair.A, pair.B }.Order()));
        Assert.DoesNotContain("-way", page);
        Assert.Equal(2 * 4, Regex.Count(page, "<img "));
        Assert.Equal(3 * 3 * 4, Regex.Count(page, "type=\"radio\""));
        Assert.Contains($"data-page=\"{key.Page}\"", page);
        Assert.DoesNotMatch("(src|href)=\"(?!data:)", page);
    }

    [Fact]
    public void Another_order_and_other_images_are_another_page()
    {
        var (one, again, other) = (Write(shuffle: 1).Key.Page, Write(shuffle: 1).Key.Page, Write(shuffle: 2).Key.Page);
        Keep("second-way", "s1", steps: 3);
        Assert.Equal(one, again);
        Assert.Equal(3, new[] { one, other, Write(shuffle: 1).Key.Page }.Distinct().Count());
    }

    [Fact]
    public void Variants_without_a_common_story_are_refused() =>
        Assert.Contains("no story in both",
            Assert.Throws<UserErrorException>(() => BlindPage.Write(output, "first-way", "third-way", 0)).Message);

    [Fact]
    public void A_variant_is_not_compared_with_itself() =>
        Assert.Contains("itself", Assert.Throws<UserErrorException>(() => BlindPage.Write(output, "first-way", "first-way", 0)).Message);

    [Fact]
    public void The_key_of_another_page_is_not_overwritten()
    {
        var (_, key) = Write(shuffle: 1);
        BlindPage.Write(output, "first-way", "second-way", 1);
        Assert.Contains("another page",
            Assert.Throws<UserErrorException>(() => BlindPage.Write(output, "first-way", "second-way", 2)).Message);
        Assert.Equal(key.Page, Json.Read<BlindKey>(Path.Combine(folder.Path, BlindPage.KeyFile), "key").Page);
    }

    public void Dispose() => folder.Dispose();

    private (string Page, BlindKey Key) Write(int shuffle)
    {
        File.Delete(Path.Combine(folder.Path, BlindPage.KeyFile));
        var page = File.ReadAllText(BlindPage.Write(output, "first-way", "second-way", shuffle));
        return (page, Json.Read<BlindKey>(Path.Combine(folder.Path, BlindPage.KeyFile), "key"));
    }

    private void Keep(string variant, string story, int steps = 2)
    {
        var job = new StoryJob
        {
            Model = "m", Clip = "c", Device = "cpu", Dtype = "Float32", Variant = variant, Story = story, Subject = "a cat",
            Prompts = ["a cat sits"], Options = new StoryOptions { Request = new() { Seed = 5, Steps = steps } },
        };
        var record = new StoryRecord
        {
            Job = job, Seeds = [5], Masks = [null], Measures = new StoryMeasures(), Seconds = 2, SecondsPerScene = 1, PeakMiB = 300,
                Folder = runs.FolderOf(job),
        };
        Directory.CreateDirectory(record.Folder);
        new RgbImage(2, 2, new byte[12]).SavePng(record.Image(0));
        runs.Keep(record);
    }
}
