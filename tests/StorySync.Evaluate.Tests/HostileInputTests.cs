using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

/// <summary>Prompt sets, options and variants that are meant to do harm: exit code 1 and one line, before a model is loaded.</summary>
public sealed class HostileInputTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly List<string> faults = [];

    /// <summary>The option, the content of its file (null for the text itself), and what the line says.</summary>
    private static readonly (string Option, string Text, string Part)[] Cases =
    [
        ("--options", "{\"request\": 7}", "request"), ("--options", "null", "must be a mapping"), ("--options", "[]", "must be a mapping"),
        ("--options", "{\"x\": 1}", "'x' is not known"), ("--options", "{\"techniques\": {\"sharing\": {\"strength\": -1}}}", "strength"),
        ("--options", "{\"techniques\": {\"sharing\": {\"strength\": 1e400}}}", "line"),
        ("--options", "{\"techniques\": {\"sharing\": {\"strength\": \"NaN\"}}}", "line"),
        ("--options", "{\"techniques\": {\"layout\": {\"until\": 1, \"until\": 2}}}", "'until'"),
        ("--options", "{\"techniques\": {}, \"techniques\": {}}", "twice"),
        ("--options", "{\"request\": {\"steps\": 99999999999}}", "line"),
        ("--options", "{\"request\": {\"$type\": \"x\"}}", "line"), ("--options", "{", "line"), ("--options", "", "empty"),
        ("--options", "{\"techniques\": {\"harmonization\": {\"steps\": {\"from\": 1, \"to\": 0}}}}", "line"),
        ("--options", "{\"techniques\": {\"masks\": {\"layers\": \"!\"}}}", "layer"),
        ("--variants", "null", "must be a mapping"), ("--variants", "{\"v\": null}", "v"), ("--variants", "{\"v\": 7}", "v"),
        ("--variants", "{\"v\": {}, \"v\": {}}", "twice"), ("--variants", "{\"a/b\": {}, \"a_b\": {}}", "names for one"),
        ("--variants", "{\"v\": {\"techniques\": {\"a\": 1}}}", "'a' is not known"),
        ("--variants", "{\"v\": {\"techniques\": {\"sharing\": {}, \"sharing\": {}}}}", "'sharing'"),
        ("--variants", "{\"" + new string('n', 300) + "\": {}}", "300 bytes"), ("--variants", "[[[[[[[[[[[[", "line"),
        ("--prompts", "null", "no stories"), ("--prompts", "a", "expected"), ("--prompts", "[]", "no stories"),
        ("--prompts", "[null]", "needs a"),
        ("--prompts", "- {subject: a fox, settings: null}", "needs a"), ("--prompts", "- {subject: a fox, settings: [null]}", "needs a"),
        ("--prompts", "- {subject: [a], settings: [b]}", "subject must be"), ("--prompts", "&a\n- *a", "contains itself"),
        ("--prompts", "- {name: \"" + new string('ü', 150) + "\", subject: a fox, settings: [a, b, c, d]}", "300 bytes"),
        ("--prompts", "- {subject: a fox, settings: [a]}", "has 1 setting"), ("--prompts", "x: {y: z}", "expected"),
    ];

    private static readonly (string[] Arguments, string Part)[] Lines =
    [
        (["--sweep", "sharing.strength"], "constant=value"), (["--sweep", "=1"], "constant=value"), (["--sweep", "a="], "constant=value"),
        (["--sweep", "scenes=0"], "scenes"), (["--sweep", "scenes=99999999999"], "scenes"), (["--sweep", "scenes=NaN"], "scenes"),
        (["--sweep", "damage.x=1"], "cannot be damaged"), (["--sweep", "damage.erode=-1"], "from 0"),
        (["--sweep", "damage.erode=NaN"], "from 0"),
        (["--sweep", "damage.erode=1e9"], "from 0"), (["--sweep", "sharing.strength=NaN"], "sweep of"),
        (["--sweep", "sharing.strength=-1"], "sweep of"), (["--sweep", "sharing.strength=1e400"], "sweep of"),
        (["--sweep", ".=1"], "sweep of"),
        (["--sweep", "sharing={\"strength\":1;}"], "sweep of"), (["--sweep", "steps=[1"], "sweep of"), (["--base", "x"], "--sweep"),
        (["--sweep", "steps=1", "--base", ".."], "no variant '..'"), (["--variants", "plain,,x"], "no variant"),
        (["--steps", "0"], "--steps"),
        (["--steps", "1e3"], "--steps"), (["--seed", "9223372036854775808"], "--seed"), (["--scenes", "-1"], "--scenes"),
        (["--repeats", "2147483648"], "--repeats"), (["--guidance", "NaN"], "--guidance"), (["--device", "cuda:-1"], "--device"),
        (["--model", ""], "--model"), (["--output", "/dev/null"], "--output"), (["--options", "/dev/zero"], "regular file"),
        (["--prompts", "/"], "folder"), (["--scenes", "100000"], "100000 scenes"),
    ];

    [Fact]
    public async Task Every_file_ends_in_one_line()
    {
        foreach (var (option, text, part) in Cases)
        {
            var path = folder.Write(option == "--prompts" ? "file.yaml" : "file.json", text);
            await AssertRefused(part, $"{option} {text}", option, path);
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public async Task Every_option_ends_in_one_line()
    {
        foreach (var (arguments, part) in Lines)
        {
            await AssertRefused(part, string.Join(' ', arguments), arguments);
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void A_name_is_a_folder_below_whatever_it_is()
    {
        foreach (var name in (string[])
            ["..", ".", "...", "../../x", "/etc", "a\\b", "con", "NUL.txt", "com1", "a\0b", "\n", "~", "*", "a:b", "-rf", "a.", ".a", "🦊",
                "ü"])
        {
            var safe = RunFolder.Safe(name);
            var path = Path.GetFullPath(Path.Combine(folder.Path, safe));
            Assert.Equal(folder.Path, Path.GetDirectoryName(path));
            Directory.CreateDirectory(path);
        }
    }

    public void Dispose() => folder.Dispose();

    private async Task AssertRefused(string part, string what, params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        string[] output =
        [
            .. arguments.Contains("--output") ? [] : (string[])["--output", folder.PathOf("o")],
            .. arguments.Contains("--model") ? [] : (string[])["--model", folder.PathOf("none")],
        ];
        var code = await CommandLine.InvokeAsync(
            EvaluateCommand.Create(), [.. arguments, .. output], text, errors, TestContext.Current.CancellationToken);
        what = what.Length > 200 ? what[..200] : what;
        string[] never = ["Object reference", "(Parameter", "was thrown", "Loading", "same key"];
        var line = errors.ToString().Split(Environment.NewLine)[0];
        if (code != 1 || text.ToString().Length > 0 || !line.Contains(part, StringComparison.OrdinalIgnoreCase)
            || never.Any(words => errors.ToString().Contains(words, StringComparison.Ordinal)))
        {
            faults.Add($"{what}: {code} {text}{errors} (expected {part})");
        }
    }
}
