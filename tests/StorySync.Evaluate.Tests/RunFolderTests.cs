using StorySync.Evaluation;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class RunFolderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static StoryJob Job => new()
    {
        Model = "m", Clip = "c", Device = "cpu", Dtype = "Float32", Variant = "all, steps 3", Story = "a/b", Subject = "a cat",
        Prompts = ["a cat sits"], Options = new StoryOptions { Request = new() { Seed = 5 } }, Damage = new MaskDamage("erode", 1),
    };

    [Fact]
    public void A_finished_job_is_found_again_as_it_was()
    {
        var (runs, record) = Keep();
        var found = runs.Find(Job)!;
        Assert.Equal(Json.Text(record), Json.Text(found));
        Assert.Equal([true, false, false, true], found.Region(0)!.Cells.ToArray());
        Assert.Null(found.Region(1));
        Assert.Equal(Json.Text(record), Json.Text(Assert.Single(runs.All("all, steps 3"))));
        Assert.Empty(runs.All("plain"));
    }

    [Fact]
    public void A_relative_folder_is_written_to_where_it_is_read()
    {
        var relative = Path.GetRelativePath(Environment.CurrentDirectory, folder.Path);
        var runs = new RunFolder(OutputFolder.Open("--output", relative));
        runs.Keep(Path.Combine(runs.FolderOf(Job), "1.png"), new RgbImage(1, 1, new byte[3]));
        Assert.True(File.Exists(Path.Combine(folder.Path, "stories", RunFolder.Safe(Job.Variant), "a_b-5", "1.png")));
    }

    [Fact]
    public void A_job_with_other_settings_is_not_finished()
    {
        var (runs, _) = Keep();
        Assert.Null(runs.Find(Job with { Damage = null }));
        Assert.Null(runs.Find(Job with { Prompts = ["a cat stands"] }));
        Assert.Null(runs.Find(Job with { Options = Job.Options with { Request = Job.Options.Request! with { Steps = 3 } } }));
        Assert.Null(runs.Find(Job with { Options = Job.Options with { Request = Job.Options.Request! with { Seed = 6 } } }));
    }

    [Fact]
    public void Two_variants_that_come_to_the_same_are_one_job()
    {
        Assert.True(Job.IsAs(Job with { Variant = "all" }));
        Assert.False(Job.IsAs(Job with { Variant = "all", Subject = "a dog" }));
        Assert.Equal(MaskDamage.Parse("erode", "0"), MaskDamage.Parse("swap", "0"));
    }

    [Fact]
    public void A_job_that_lost_a_image_is_not_finished()
    {
        var (runs, record) = Keep();
        File.Delete(Path.Combine(runs.FolderOf(Job), Path.GetFileName(record.Image(0))));
        Assert.Null(runs.Find(Job));
    }

    [Fact]
    public void A_broken_record_is_not_a_finished_job()
    {
        var (runs, _) = Keep();
        File.WriteAllText(Path.Combine(runs.FolderOf(Job), "record.json"), "{");
        Assert.Null(runs.Find(Job));
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("...")]
    [InlineData("../..")]
    [InlineData("/")]
    [InlineData("..\\x")]
    [InlineData("a.")]
    [InlineData(".a")]
    [InlineData("NUL")]
    [InlineData("com1.txt")]
    [InlineData("")]
    public void A_name_of_any_kind_is_a_folder_of_its_own(string name)
    {
        var safe = RunFolder.Safe(name);
        Assert.Equal(folder.Path, Path.GetDirectoryName(Path.GetFullPath(Path.Combine(folder.Path, safe))));
        Assert.False(safe.StartsWith('.') || safe.EndsWith('.'), safe);
        Assert.DoesNotContain(safe.Split('.')[0], (string[])["NUL", "com1"]);
        Assert.Equal("all-2.5", RunFolder.Safe("all-2.5"));
    }

    public void Dispose() => folder.Dispose();

    private (RunFolder Runs, StoryRecord Record) Keep()
    {
        var runs = new RunFolder(OutputFolder.Open("--output", folder.Path));
        var record = new StoryRecord
        {
            Job = Job, Seeds = [5, 6], Masks = [["#.", ".#"], null], Measures = new StoryMeasures { ClipI = 0.5, ClipT = 1.25 },
            Seconds = 2, SecondsPerScene = 1, PeakMiB = 300,
        };
        Directory.CreateDirectory(runs.FolderOf(Job));
        File.WriteAllBytes(Path.Combine(runs.FolderOf(Job), "1.png"), []);
        runs.Keep(record);
        return (runs, record);
    }
}
