using System.Diagnostics;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

/// <summary>Stories, masks and places to write to that are meant to do harm: exit code 1 and one line that names file and place, before
/// any work.</summary>
public sealed class HostileStoryTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    private readonly TemporaryFolder folder = new();
    private readonly List<string> faults = [];

    private static readonly string Bomb = string.Concat(Enumerable.Range(1, 25).Select(i =>
        $"x{i}: &b{i} [{string.Join(", ", Enumerable.Repeat(i == 1 ? "boom" : $"*b{i - 1}", 10))}]\n"));

    /// <summary>Stories, and what the line says.</summary>
    private static readonly (string Text, string Part)[] Stories =
    [
        (Bomb + "scenes: *b25\nsubjects: [a]", "'x1' is not a key"), ($"subjects: [a frog]\nscenes: &a [&b [&c [*a]]]", "contains itself"),
        (List("scenes"), "a scene must be"), (List("subjects"), "a subject must be a text"),
        ("subjects: &a [a frog]\nscenes: [{prompt: a frog, subjects: *a, masks: [*a]}]", "line 1"),
        ("subjects: [a frog]\nscenes: [*none]", "no anchor"), ("? [a]\n: b", "a key must be a text"), ("&a *a : b", "line 1"),
        ("subjects: [a frog]\nscenes: [a frog]\nscenes: [a frog]", "'scenes' is there twice"),
        ("subjects: [a frog]\nscenes: [{prompt: a frog, prompt: a frog}]", "'prompt' is there twice"),
        ("cast: {Mia: a fox, Mia: a fox}\nscenes: [Mia]", "'Mia' is there twice"), ("subjects: null\nscenes: [a frog]", "no subject"),
        ("subjects: [null]\nscenes: [a frog]", "a subject"), ("subjects: [a frog]\nscenes: [{prompt: null}]", "a 'prompt'"),
        ("subjects: [a frog]\nscenes: [null]", "null"), ("subjects: [a frog]\nscenes: {a: b}", "must be a list"),
        ("subjects: [a frog]\nscenes: []", "no scenes"), ("subjects: [a frog]", "no scenes"), ("null", "must be a mapping"),
        ("a", "must be"),
        ("[]", "must be a mapping"), ("cast: {Mia: null}\nscenes: [Mia]", "line 1"), ("cast: [Mia]\nscenes: [Mia]", "must be a mapping"),
        ("cast: {\"\": a fox}\nscenes: [a]", "line 1"), ("cast: {Mia: {description: null}}\nscenes: [Mia]", "description"),
        ("cast: {Mia: {description: a fox, aliases: [null]}}\nscenes: [Mia]", "alias"),
        ("cast: {Mia: a fox}\nscenes: [{prompt: Mia, states: {Tom: old}}]", "Tom"),
        ("cast: {Mia: a fox}\nscenes: [{prompt: Mia, states: {Mia: null}}]", "a state"),
        (Region("[0, 0, 0, 0]"), "not within the image"), (Region("[.nan, 0, 1, 1]"), "left"), (Region("[-1, 0, 1, 1]"), "left"),
        (Region("[0, 0, 1e400, 1]"), "width"), (Region("[0, 0, 1]"), "3 numbers"), (Region("[0.5, 0, 1, 1]"), "not within the image"),
        (Region("{left: 0}"), "needs 'top'"), (Region("[[0], 0, 1, 1]"), "left must be a text"), (Region("none.png"), "none.png"),
        (Number("steps", "99999999999999999999"), "steps is"), (Number("steps", "0"), "from 1"), (Number("steps", ".nan"), "steps is"),
        (Number("steps", "1.5"), "whole"), (Number("steps", "[1]"), "steps must be"), (Number("seed", "1e3"), "seed is"),
        (Number("seed", "9223372036854775808"), "seed is"), (Number("guidance", ".inf"), "guidance is"),
        (Number("guidance", "1e400"), "guidance is"), (Number("guidance", "4,5"), "decimal point"), (Number("width", "131073"), "width is"),
        (Number("height", "-64"), "height is"), (Number("width", "65"), "multiples"), (Number("anchors", "1"), "'anchors' is not a key"),
        ("a: !!python/object/apply:os.system [id]", "line 1"), ("%YAML 9.9\n---\na: b", "line"), ("a:\tb\n\tc: d", "line"),
        ("\"\\ud800\": b", "line 1"), ("a: b\n...\nc: d", "line"), ("- - - - -", "line 1"), ("{", "line 2"), ("'", "line 1"),
        ("@", "line 1"),
        ("<<: {subjects: [a frog]}\nscenes: [a frog]", "'<<' is not a key"), (new string('x', 1 << 20), "must be a mapping"),
        (new string('{', 50_000), "nested"), (string.Concat(Enumerable.Repeat("- ", 50_000)), "nested"),
        ("subjects: [a frog, A FROG]\nscenes: [a frog]", "twice"),
    ];

    private static readonly (string Text, string Part)[] JsonStories =
    [
        ("{\"scenes\": [\"a frog\"], \"scenes\": []}", "twice"), ("{\"scenes\": null}", "no scenes"), ("null", "must be a mapping"),
        ("\"\\ud800\"", "line 1"), ("{\"a\": \"\\u0000\"}", "'a' is not a key"), ("[", "line 1"), ("nul", "line 1"),
        ("{\"scenes\": NaN}", "line 1"),
        ("{\"subjects\": [\"a frog\"], \"scenes\": [{\"prompt\": \"a frog\", \"seed\": 1e400}]}", "seed"), ("{}{}", "line 1"),
        ("/*", "line 1"),
        ("{\"scenes\": [true, 1]}", "no subject"), (new string('[', 10_000), "line 1"),
    ];

    [Fact]
    public async Task Every_story_ends_in_one_line()
    {
        foreach (var (cases, name) in new[] { (Stories, "story.yaml"), (JsonStories, "story.json") })
        {
            foreach (var (text, part) in cases)
            {
                var path = folder.Write(name, text);
                await AssertRefused(part, text, "--story", path, "--device", "cpu", "--plan");
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public async Task What_is_no_file_is_not_waited_for()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no pipes among its files.");
        var pipe = folder.PathOf("pipe");
        using (var made = Process.Start("mkfifo", pipe))
        {
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        File.CreateSymbolicLink(folder.PathOf("link"), pipe);
        File.CreateSymbolicLink(folder.PathOf("zero"), "/dev/zero");
        File.CreateSymbolicLink(folder.PathOf("self"), folder.PathOf("self"));
        File.CreateSymbolicLink(folder.PathOf("large"), folder.PathOf("sparse"));
        using (var sparse = File.Create(folder.PathOf("sparse")))
        {
            sparse.SetLength(1L << 31);
        }

        Directory.CreateDirectory(folder.PathOf("folder"));
        folder.Write("bytes", [0xFF, 0xFE, 0, 0, 1]);
        foreach (var name in (string[])
            ["pipe", "link", "zero", "self", "large", "sparse", "folder", "none", "bytes", new string('n', 300), "/dev/zero", "a\\0b",
                "..", "."])
        {
            var path = name.StartsWith('/') ? name : Path.Combine(folder.Path, name);
            if (!name.Contains('\\', StringComparison.Ordinal))
            {
                await AssertRefused(name, name, "--story", path, "--device", "cpu", "--plan");
                await AssertRefused("bank", name, "--bank", path, "--scene", "a frog", "--device", "cpu");
            }

            foreach (var key in (string[])["masks: [\"{0}\"]", "regions: {{a frog: \"{0}\"}}"])
            {
                var own = string.Format(System.Globalization.CultureInfo.InvariantCulture, key, name);
                var story = folder.Write("story.yaml", $"subjects: [a frog]\nscenes:\n- prompt: a frog\n  {own}\n");
                await AssertRefused("line 4", name, "--story", story, "--device", "cpu", "--plan");
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
        Assert.Equal(1L << 31, new FileInfo(folder.PathOf("sparse")).Length);
    }

    [Fact]
    public async Task What_cannot_be_written_to_is_said_before_any_work_and_stays()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such places.");
        var file = folder.Write("file", "x");
        string[] run = ["--scene", "a frog", "--subject", "a frog", "--device", "cpu"];
        foreach (var (option, path) in new[]
        {
            ("--output", file), ("--output", Path.Combine(file, "under")), ("--output", "/proc/none"), ("--output", "/dev/null"),
            ("--output", folder.PathOf(new string('n', 300))), ("--save-bank", folder.Path), ("--save-bank", Path.Combine(file, "bank")),
            ("--save-bank", "/dev/null"), ("--save-bank", "/dev/full"), ("--save-bank", "/proc/none/bank"),
        })
        {
            var (code, text, errors) = await Run([.. run, option, path, .. option == "--output" ? [] : new[] { "--output",
                folder.PathOf("o") }]);
            Assert.True(code == 1 && text.Length == 0, $"{option} {path}: {code} {text} {errors}");
            Assert.StartsWith(option, errors, StringComparison.Ordinal);
            Assert.DoesNotContain("Loading", errors, StringComparison.Ordinal);
        }

        Assert.Equal("x", File.ReadAllText(file));
        Assert.Equal(0, new FileInfo("/dev/null").Length);
    }

    [Fact]
    public async Task Odd_prompts_are_drawn()
    {
        string[] prompts =
        [
            "a frog \0\u0001\u001b[31m\u007f", "a frog " + new string('x', 20_000), "a frog \u202e\u0301\u200d\U0001F98A",
                "a frog\r\n\t<b>&amp;",
        ];
        var (code, _, errors) = await Run(
            [.. prompts.SelectMany(prompt => new[] { "--scene", prompt }), "--subject", "a frog", "--steps", "1", "--width", "64",
                "--height", "64",
                "--no-plain", "--device", "cpu", "--output", folder.PathOf("o")]);
        Assert.True(code == 0, errors);
        Assert.Equal(5, Directory.GetFiles(folder.PathOf("o")).Length);
        Assert.DoesNotContain('\u001b', errors);
    }

    public void Dispose() => folder.Dispose();

    private static string List(string key) => $"{key}: &a [[[[x]]]]\n{(key == "scenes" ? "subjects" : "scenes")}: [a frog]";

    private static string Region(string region) => $"subjects: [a frog]\nscenes: [{{prompt: a frog, regions: {{a frog: {region}}}}}]";

    private static string Number(string key, string value) => $"subjects: [a frog]\nscenes: [a frog]\n{key}: {value}";

    /// <summary>Runs the program and keeps what is wrong with how it ends.</summary>
    private async Task AssertRefused(string part, string what, params string[] arguments)
    {
        what = what.Length > 200 ? what[..200] : what;
        var (code, text, errors) = await Run(arguments);
        string[] lines = [.. errors.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries)
            .Where(line => !line.StartsWith("Loading ", StringComparison.Ordinal))];
        string[] never = ["Object reference", "(Parameter", "was thrown"];
        if (code != 1 || text.Length > 0 || lines is not [var line] || !line.Contains(part, StringComparison.Ordinal)
            || never.Any(words => line.Contains(words, StringComparison.Ordinal)))
        {
            faults.Add($"{what}: {code} {text}{errors} (expected {part})");
        }
    }

    private static async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await Task.Run(() => CommandLine.InvokeAsync(StoryCommand.Create(), arguments, text, errors))
            .WaitAsync(Long, TestContext.Current.CancellationToken);
        return (code, text.ToString(), errors.ToString());
    }
}
