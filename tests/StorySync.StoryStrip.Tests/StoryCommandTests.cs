using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

public sealed class StoryCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task A_run_writes_the_scenes_the_masks_and_the_strip()
    {
        var (code, text, errors) = await Run(
            "--scene", "a cat in the snow", "--scene", "a cat at the beach", "--subject", "a cat", "--negative", "a frog",
            "--steps", "2", "--guidance", "3", "--seed", "11", "--sharing", "0.5", "--masks", "--device", "cpu");

        Assert.True(code == 0, errors);
        Assert.Equal(
            [
                "plain-1-mask-1.png", "plain-1.png", "plain-2-mask-1.png", "plain-2.png", "scene-1-mask-1.png", "scene-1.png",
                    "scene-2-mask-1.png",
                "scene-2.png", "strip.png",
            ],
            Written().Order(StringComparer.Ordinal));
        Assert.All(Written().Where(name => name != "strip.png"), name => Assert.Equal((128, 128), SizeOf(name)));
        Assert.NotEqual(Bytes("plain-1.png"), Bytes("scene-1.png"));

        // Two rows and two columns of 256 pixels a side, and room for titles and captions.
        var (width, height) = SizeOf("strip.png");
        Assert.InRange(width, 512, 640);
        Assert.InRange(height, 512, 640);

        var parameters = TextOf("scene-2.png", "parameters");
        Assert.StartsWith(
            "a cat at the beach\nNegative prompt: a frog\nSteps: 2, Sampler: EulerDiscreteScheduler, CFG scale: 3, Seed: 12, ", parameters);
        Assert.Contains(" Size: 128x128, Model: storybook, Dtype: float32, Device: cpu, Subjects: a cat, Sharing: 0.5,", parameters);
        Assert.Matches(@", Version: StorySync \d+\.\d+\.\d+", parameters);
        Assert.Contains("Sharing: 0,", TextOf("plain-2.png", "parameters"));
        Assert.All(Written(), name => Assert.StartsWith("StorySync ", TextOf(name, "Software")));

        // Results on one stream, progress on the other; loading is announced before it begins.
        Assert.StartsWith("Loading storybook …", errors);
        Assert.Contains("plain model: step 2 of 2", errors);
        Assert.Contains("StorySync: step 2 of 2", errors);
        Assert.Equal([$"Wrote 2 scenes to {Output}", $"Strip: {Path.Combine(Output, "strip.png")}", ""], text.Split(Environment.NewLine));
    }

    [Fact]
    public async Task Previews_of_every_step_are_written_in_the_size_of_the_scenes_and_those_of_an_earlier_run_go()
    {
        string[] arguments = ["--scene", "a cat in the snow", "--subject", "a cat", "--no-plain", "--device", "cpu"];
        var (code, _, errors) = await Run([.. arguments, "--steps", "3", "--previews"]);
        Assert.True(code == 0, errors);
        Assert.Equal(
            ["preview-1-1.png", "preview-1-2.png", "preview-1-3.png", "scene-1.png", "strip.png"], Written().Order(StringComparer.Ordinal));
        Assert.Equal((128, 128), SizeOf("preview-1-3.png"));

        Assert.Equal(0, (await Run([.. arguments, "--steps", "1"])).Code);
        Assert.Equal(["scene-1.png", "strip.png"], Written().Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Without_the_plain_model_there_is_one_row_and_images_of_an_earlier_longer_story_go()
    {
        var longer =
            folder.Write("longer.yaml", "subjects: a bear\nsteps: 1\nscenes: [a bear waving, a bear sitting, a bear in the snow]\n");
        Assert.Equal(0, (await Run("--story", longer, "--device", "cpu")).Code);
        new RgbImage(1, 1, [0, 0, 0]).SavePng(Path.Combine(Output, "scene-99.png"));

        var story = folder.Write("story.yaml",
            "subjects: [a bear]\nseed: 3\nsteps: 1\nscenes:\n  - a bear in the city\n  - prompt: a bear waving\n");
        var (code, _, errors) =
            await Run("--story", story, "--no-plain", "--guidance-end", "0.5", "--block-cache", "0.1", "--device", "cpu");

        Assert.True(code == 0, errors);

        // What another program wrote stays.
        Assert.Equal(["scene-1.png", "scene-2.png", "scene-99.png", "strip.png"], Written().Order(StringComparer.Ordinal));
        Assert.InRange(SizeOf("strip.png").Height, 256, 384);
        Assert.Contains("Steps: 1, ", TextOf("scene-1.png", "parameters"));
        Assert.Contains(" Guidance end: 0.5, Block cache: 0.1, ", TextOf("scene-1.png", "parameters"));
        Assert.Contains("Seed: 4,", TextOf("scene-2.png", "parameters"));
    }

    [Fact]
    public async Task The_command_line_overrides_the_file()
    {
        var story = folder.Write("story.yaml", "subjects: [a bear]\nseed: 3\nsteps: 9\nnegative: a frog\nscenes: [a bear]\n");
        var (code, text, errors) =
            await Run("--story", story, "--scene", "a cat @home, in the snow", "--subject", "a cat", "--steps", "1", "--no-plain");

        Assert.True(code == 0, errors);
        Assert.StartsWith("Wrote 1 scene to ", text);
        Assert.StartsWith("a cat @home, in the snow\nNegative prompt: a frog\nSteps: 1, ", TextOf("scene-1.png", "parameters"));
        Assert.Contains("Seed: 3,", TextOf("scene-1.png", "parameters"));
    }

    [Fact]
    public async Task A_prompt_that_begins_with_an_at_sign_names_no_file()
    {
        var (code, _, errors) = await Run("--scene", "@nowhere", "--subject", "a cat", "--steps", "1");
        Assert.Equal(1, code);
        Assert.Contains("--scene 1: The phrase \"cat\"", errors);
    }

    [Theory]
    [InlineData("Unrecognized command or argument '--strength'.", "--strength", "2")]
    [InlineData("--sharing is '--no-plain'; it must be a number, at least 0", "--sharing", "--no-plain", "left over")]
    [InlineData("--steps is '0'; it must be a whole number from 1 to 10000.", "--steps", "0")]
    [InlineData("--steps is 'few'; it must be a whole number from 1 to 10000.", "--steps", "few")]
    [InlineData("--steps is '99999999999'; it must be a whole number from 1 to 10000.", "--steps", "99999999999")]
    [InlineData("--seed is '1.5'; it must be a whole number.", "--seed", "1.5")]
    [InlineData("--sharing is '-1'; it must be a number, at least 0.", "--sharing", "-1")]
    [InlineData("--sharing is '0,5'; it must be a number, at least 0, with a decimal point.", "--sharing", "0,5")]
    [InlineData("--dropout is '1'; it must be a number from 0 to 0.99.", "--dropout", "1")]
    [InlineData("--guidance is 'NaN'; it must be a number.", "--guidance", "NaN")]
    [InlineData("--guidance-end is '0'; it must be a number above 0 and at most 1.", "--guidance-end", "0")]
    [InlineData("--block-cache is '-0.1'; it must be a number, at least 0.", "--block-cache", "-0.1")]
    [InlineData("--harmonization-threshold is '1e9'; it must be a number from -1 to 1.", "--harmonization-threshold", "1e9")]
    [InlineData("--dtype is 'float64'; it must be float32, bfloat16 or float16.", "--dtype", "float64")]
    [InlineData("--device is 'gpu'; it must be auto, cpu, cuda or cuda:N.", "--device", "gpu")]
    [InlineData("--device is 'cuda:99', which this machine does not have;", "--device", "cuda:99")]
    [InlineData("--model is empty; give a name.", "--model", "")]
    [InlineData("--scene must not be empty.", "--scene", "", "--subject", "a cat")]
    [InlineData("The story has no subject; --subject,", "--scene", "a cat in the snow")]
    [InlineData("There is no story 'nowhere.yaml'.", "--story", "nowhere.yaml")]
    public async Task A_mistake_is_one_line_before_anything_is_loaded(string message, params string[] arguments)
    {
        var (code, text, errors) = await Refused(arguments);
        Assert.Equal((1, ""), (code, text));
        var lines = errors.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith(message, lines[0]);
        Assert.True(lines.Length == 1 || (lines.Length == 2 && lines[1].StartsWith("Usage: ", StringComparison.Ordinal)), errors);
    }

    [Theory]
    [InlineData("./no-such-model", "--model", "./no-such-model")]
    [InlineData("\"dragon\" does not occur", "--subject", "a dragon")]
    [InlineData("width and height must be multiples of 8", "--width", "130")]
    public async Task What_only_the_model_can_tell_is_one_line_too(string message, params string[] arguments)
    {
        var (code, text, errors) = await Refused(arguments);
        Assert.Equal((1, ""), (code, text));
        var line = Assert.Single(errors.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries).Skip(1));
        Assert.Contains(message, line);
        Assert.DoesNotContain("(Parameter", line);
        Assert.DoesNotContain("Scene.", line);
    }

    [Fact]
    public async Task Warnings_speak_of_options()
    {
        var (code, _, errors) = await Run(
            "--scene", "a cat in the snow", "--subject", "a cat", "--no-plain", "--device", "cpu", "--steps", "1", "--stream-blocks",
            "--offload", "--variant", "fp8", "--guidance", "1", "--guidance-end", "0.5", "--negative", "a frog");

        Assert.Equal(0, code);
        var warnings = errors.Split(Environment.NewLine).Where(line => line.StartsWith("Warning: ", StringComparison.Ordinal)).ToList();
        Assert.All(
            (string[])["--stream-blocks has", "--offload has", "--variant has", "--guidance-end has", "--negative has"],
            option => Assert.Single(warnings, line => line.StartsWith($"Warning: {option} no effect", StringComparison.Ordinal)));
        Assert.DoesNotContain(warnings, line => line.Contains("Options", StringComparison.Ordinal)
            || line.Contains("Prompts", StringComparison.Ordinal) || line.Contains("Scale", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_fault_of_a_scene_names_its_place_in_the_file()
    {
        var story = folder.Write("story.yaml", "subjects: a bear\nsteps: 1\nscenes:\n- a bear waving\n- a dog waving\n");
        var (code, _, errors) = await Run("--story", story);
        Assert.Equal(1, code);
        Assert.Contains($"{story}, line 5, column 3: The phrase \"bear\" does not occur", errors);
        Assert.Contains("give null for it in the scene's 'subjects'", errors);
    }

    [Theory]
    [InlineData(true, "which is a file")]
    [InlineData(false, "where nothing can be written")]
    public async Task An_output_that_cannot_be_written_to_is_refused_before_the_run(bool isFile, string message)
    {
        Assert.SkipWhen(!isFile && !OperatingSystem.IsLinux(), "Nothing can be created in /proc, which Linux alone has.");
        var path = isFile ? folder.Write("file", "x") : "/proc/self/story";
        var (error, text) = (new StringWriter(), new StringWriter());
        var code =
            await CommandLine.InvokeAsync(StoryCommand.Create(), ["--output", path], text, error, TestContext.Current.CancellationToken);
        Assert.Equal(1, code);
        Assert.StartsWith($"--output is '{path}', {message}", error.ToString());
        Assert.Single(error.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task A_plan_speaks_of_options()
    {
        var (code, text, errors) = await Run("--plan", "--device", "cpu", "--width", "256", "--height", "256");
        Assert.True(code == 0, errors);
        Assert.Contains("4 scenes on cpu", text);
        Assert.Contains("--height 128 --width 128", text);
        Assert.Contains("--dtype bfloat16", text);
        Assert.DoesNotContain("Options.", text);
        Assert.False(Directory.Exists(Output));
    }

    [Theory]
    [InlineData(4, 128)]
    [InlineData(16, 128)]
    [InlineData(4, 320)]
    public async Task The_plan_says_what_the_process_will_hold_within_a_quarter(int scenes, int side)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/lib64/ld-linux-x86-64.so.2"),
            "Memory is read from Linux's /proc, with glibc.");
        var story =
            folder.Write("story.json", $"{{ \"subjects\": \"a cat\", \"steps\": 2, \"width\": {side}, \"height\": {side}, \"scenes\": "
            + $"[{string.Join(", ", Enumerable.Repeat("\"a cat in the snow\"", scenes))}] }}");
        string[] arguments = ["--story", story, "--device", "cpu", "--no-plain", "--output", Output];
        var (plan, _) = await RunProcess([.. arguments, "--plan"]);
        var planned = double.Parse(
            Regex.Match(plan, "will hold about ([0-9]+) MB").Groups[1].Value, CultureInfo.InvariantCulture);
        var (text, peak) = await RunProcess(arguments);
        Assert.Contains($"Wrote {scenes} scenes", text);
        Assert.InRange(planned, 0.75 * peak / 1e6, 1.25 * peak / 1e6);
    }

    [Fact]
    public async Task A_story_that_cannot_fit_is_refused_before_it_begins_and_its_plan_says_so()
    {
        var story = folder.Write("story.yaml",
            $"subjects: a frog\nwidth: 16384\nheight: 16384\nscenes:\n- &s a frog\n{string.Concat(Enumerable.Repeat("- *s\n", 2000))}");
        var (code, text, errors) = await Run("--story", story, "--device", "cpu");
        Assert.Equal((1, ""), (code, text));
        Assert.Contains("does not fit", errors);
        Assert.Contains("--no-memory-check disables this check", errors);
        (code, text, _) = await Run("--story", story, "--device", "cpu", "--plan");
        Assert.Equal(0, code);
        Assert.Contains("2001 scenes", text);
        Assert.Contains("The story does not fit: it needs about", text);
    }

    public void Dispose() => folder.Dispose();

    /// <summary>Runs the program in a process of its own and watches the most bytes that it holds.</summary>
    private static async Task<(string Text, long Peak)> RunProcess(string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "StoryStrip.dll"), .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var peak = 0L;
        while (!process.HasExited)
        {
            try
            {
                var line = File.ReadLines($"/proc/{process.Id}/status").FirstOrDefault(line =>
                    line.StartsWith("VmHWM:", StringComparison.Ordinal));
                peak = line is null ? peak : long.Parse(line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1],
                    CultureInfo.InvariantCulture) * 1024;
            }
            catch (IOException)
            {
                // It ended between the two lines.
            }

            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(process.ExitCode == 0, await errors);
        return (await text, peak);
    }

    private string Output => Path.Combine(folder.Path, "output");

    private async Task<(int Code, string Text, string Errors)> Refused(string[] arguments)
    {
        Directory.CreateDirectory(Output);
        File.WriteAllText(Path.Combine(Output, "scene-1.png"), "an older image");
        var result = await Run(arguments);
        Assert.Equal(["scene-1.png"], Written());
        Assert.Equal("an older image", File.ReadAllText(Path.Combine(Output, "scene-1.png")));
        return result;
    }

    private async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            StoryCommand.Create(), [.. arguments, "--output", Output], text, errors, TestContext.Current.CancellationToken);
        return (code, text.ToString(), errors.ToString());
    }

    private IEnumerable<string> Written() => Directory.EnumerateFileSystemEntries(Output).Select(path => Path.GetFileName(path)!);

    private byte[] Bytes(string name) => RgbImage.Load(Path.Combine(Output, name)).Pixels.ToArray();

    private (int Width, int Height) SizeOf(string name)
    {
        var image = RgbImage.Load(Path.Combine(Output, name));
        return (image.Width, image.Height);
    }

    /// <summary>The text of a PNG's chunk <c>iTXt</c> with a keyword.</summary>
    private string TextOf(string name, string keyword)
    {
        ReadOnlySpan<byte> png = File.ReadAllBytes(Path.Combine(Output, name));
        var start = Encoding.Latin1.GetBytes($"iTXt{keyword}\0\0\0\0\0");
        var chunk = png.IndexOf(start);
        Assert.True(chunk > 0, $"{name} tells no {keyword}.");
        var length = BinaryPrimitives.ReadInt32BigEndian(png[(chunk - 4)..]);
        return Encoding.UTF8.GetString(png.Slice(chunk + start.Length, length - (start.Length - 4)));
    }
}
