using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class EvaluateCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task A_run_writes_the_report_with_the_device_and_escaped_names()
    {
        var variants = folder.Write("v.json", """{ "<b>v|x</b>": { "techniques": { "sharing": { "strength": 0 } } }, "..": {} }""");
        var (code, text, errors) =
            await Run("-v", "plain", "-v", variants, "--stories", "1", "--scenes", "2", "--steps", "1", "--device", "auto");

        Assert.True(code == 0, errors);
        Assert.StartsWith("Loading storybook …", errors);
        Assert.Contains($"Report: {Path.Combine(Output, "report.html")}", text);
        Assert.Contains("&lt;b&gt;v|x&lt;/b&gt;", File.ReadAllText(Path.Combine(Output, "report.html")));
        Assert.Contains("1 story in 3 variants, made on c", File.ReadAllText(Path.Combine(Output, "report.html")));
        Assert.Contains("\"device\": \"c", File.ReadAllText(Path.Combine(Output, "summary.json")));

        var table = File.ReadAllLines(Path.Combine(Output, "table.md"));
        var row = table.First(line => line.Contains(@"\<b\>v\|x\</b\>", StringComparison.Ordinal));
        Assert.Equal(table[0].Count(c => c == '|'), row.Replace(@"\|", "", StringComparison.Ordinal).Count(c => c == '|'));

        Assert.Equal(
            ["blind", "blind-key.json", "plots", "report.html", "results.csv", "stories", "summary.json", "table.md"],
            [.. await Blind(), .. Directory.EnumerateFileSystemEntries(Output).Select(path =>
                Path.GetFileName(path)).Where(name => name != "blind.html").Order()]);
        Assert.Equal(["___", "_b_v_x__b_", "plain"],
            Directory.EnumerateDirectories(Path.Combine(Output, "stories")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Anchors_banks_images_and_lengths_are_measured_by_one_command()
    {
        var (code, text, errors) = await Run(
            "-v", "anchors", "--stories", "1", "--scenes", "4", "--steps", "2", "--lengths", "6,4", "--device", "cpu");

        Assert.True(code == 0, errors);
        string[] variants = ["plain", "all", "one-anchor", "two-anchors", "bank", "bank-keys", "image"];
        var table = File.ReadAllLines(Path.Combine(Output, "table.md"));
        Assert.EndsWith(
            "| layout_kept | clip_i_anchors | clip_i_new | color_anchors | color_new | layout_new | seconds | peak_mib |", table[0]);
        Assert.Equal(variants, table[2..9].Select(row => row.Split('|')[1].Trim()));
        Assert.DoesNotContain("–", table[5]);

        // A bank's scenes are the story's; the image is the plain model's.
        Assert.All(Enumerable.Range(1, 4), scene => Assert.Equal(Image("two-anchors", scene), Image("bank", scene)));
        Assert.NotEqual(Image("plain", 2), Image("image", 2));
        Assert.Equal(Image("plain", 1), Image("image", 1));

        var lengths = File.ReadAllLines(Path.Combine(Output, "lengths.csv"));
        Assert.Equal("variant,scenes,seconds,seconds_per_scene,peak_mib,grown_mib", lengths[0]);
        Assert.Equal(
            [.. variants.Select(variant => $"\"{variant}\",4"), .. variants.Select(variant => $"\"{variant}\",6")],
            lengths[1..].Select(line => string.Join(',', line.Split(',').Take(2))));
        Assert.Contains("seconds a scene", text);
        Assert.Equal(16, File.ReadAllLines(Path.Combine(Output, "lengths.md")).Length);

        byte[] Image(string variant, int scene) => Pipelines.RgbImage.Load(
            Path.Combine(Output, "stories", variant, "cat-1-7", $"{scene}.png")).Pixels.ToArray();
    }

    /// <summary>Without any mask nothing is shared, so that the scenes are the plain model's.</summary>
    [Fact]
    public async Task Masks_that_are_dropped_in_all_scenes_leave_the_plain_images()
    {
        var (code, _, errors) = await Run(
            "-v", "plain", "--sweep", "damage.drop=0,1", "--stories", "1", "--scenes", "2", "--steps", "4", "--device", "cpu");

        Assert.True(code == 0, errors);
        var folders = Directory.EnumerateDirectories(Path.Combine(Output, "stories")).ToList();
        Assert.Equal(3, folders.Count);
        Assert.Equal(Image("plain"), Image("drop_1"));
        Assert.NotEqual(Image("plain"), Image("drop_0"));

        byte[] Image(string variant) => Pipelines.RgbImage.Load(Path.Combine(
            folders.Single(path => path.EndsWith(variant, StringComparison.Ordinal)), "cat-1-7", "2.png")).Pixels.ToArray();
    }

    [Fact]
    public async Task Score_expands_wildcards()
    {
        var pair = new BlindPair("1", "cat", 7, "plain", "all");
        folder.Write("output/blind-key.json", Json.Text(new BlindKey("page", [pair])));
        folder.Write("answers-a.json", Json.Text(new BlindAnswers("page", "a", [new("1", "quality", "B")])));
        folder.Write("answers-b.json", Json.Text(new BlindAnswers("page", "b", [new("1", "quality", "A")])));

        var (code, text, errors) = await Run("score", folder.PathOf("answers-*.json"));
        Assert.True(code == 0, errors);
        Assert.Contains("of 2 participants", text);
        (code, text, errors) = await Run("score", folder.PathOf("answers-?.json"), folder.PathOf("x*.json"));
        Assert.Equal((1, "", $"No file is called '{folder.PathOf("x*.json")}'."), (code, text, errors.TrimEnd()));
    }

    [Theory]
    [InlineData("--guidance is '4,5'; it must be a number, with a decimal point.", "--guidance", "4,5")]
    [InlineData("--scenes is 'all'; it must be a whole number from 1 to 100000.", "--scenes", "all")]
    [InlineData("--dtype is 'int8'; it must be float32, bfloat16 or float16.", "--dtype", "int8")]
    [InlineData("There is no variant 'al';", "-v", "al")]
    [InlineData("There is no prompt set 'nowhere.yaml'.", "--prompts", "nowhere.yaml")]
    [InlineData("There is no file of options 'nowhere.json'.", "--options", "nowhere.json")]
    [InlineData("The story 'cat-1' has 16 settings; 17 scenes need as many.", "--scenes", "17")]
    [InlineData("--lengths is 'many'; it must be a whole number from 1 to 100000.", "--lengths", "4,many")]
    [InlineData("--lengths has 2, but a variant has 2 anchors; a story needs more scenes than that.", "-v", "anchors", "--lengths", "2,8")]
    [InlineData("sweep of sharing.strenght: 'strenght' is not known here.", "--sweep", "sharing.strenght=1")]
    public async Task A_mistake_is_one_line_before_anything_is_loaded(string message, params string[] arguments)
    {
        var (code, text, errors) = await Run(arguments);
        Assert.Equal((1, ""), (code, text));
        var lines = errors.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith(message, lines[0]);
        Assert.True(lines.Length == 1 || (lines.Length == 2 && lines[1].StartsWith("Usage: ", StringComparison.Ordinal)), errors);
        Assert.False(Directory.Exists(Output));
    }

    public void Dispose() => folder.Dispose();

    private string Output => Path.Combine(folder.Path, "output");

    /// <summary>Makes a blind page of the run: its images were found.</summary>
    private async Task<string[]> Blind()
    {
        var (code, _, errors) = await Run("blind", "--first", "plain", "--second", "..");
        Assert.True(code == 0, errors);
        Assert.True(File.Exists(Path.Combine(Output, "blind.html")));
        return ["blind"];
    }

    private async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            EvaluateCommand.Create(), [.. arguments, "--output", Output], text, errors, TestContext.Current.CancellationToken);
        return (code, text.ToString(), errors.ToString());
    }
}
