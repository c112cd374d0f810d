using System.Globalization;
using System.Text.RegularExpressions;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

/// <summary>Stories whose anchors are kept, and what is drawn with them.</summary>
public sealed class BankCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("trajectory")]
    [InlineData("keys")]
    public async Task Scenes_that_are_drawn_with_the_saved_bank_are_those_of_the_story(string form)
    {
        var bank = await Saved(form);
        var later = await Run("--bank", bank, "--scene", "a cat in the snow", "--scene", "a cat at night", "--no-plain");
        Assert.True(later.Code == 0, later.Errors);
        Assert.Equal(["scene-1.png", "scene-2.png", "strip.png"], Written());

        // The seeds go on from the bank's, so that these are the scenes of the whole story.
        var (first, second) = (Image("scene-1.png"), Image("scene-2.png"));
        Assert.Contains(" Seed: 13,", Parameters("scene-1.png"));
        Assert.Contains(" Subjects: a cat, Sharing: 0.5,", Parameters("scene-2.png"));
        Assert.Contains(" Anchors: 2,", Parameters("scene-2.png"));
        var whole = await Run([.. Story, "--scene", "a cat in the snow", "--scene", "a cat at night", "--anchors", "2", "--no-plain"]);
        Assert.True(whole.Code == 0, whole.Errors);
        Assert.Equal(first, Image("scene-3.png"));
        Assert.Equal(second, Image("scene-4.png"));
    }

    [Fact]
    public async Task The_plain_model_draws_a_banks_scenes_from_their_noise()
    {
        var bank = await Saved();
        var (code, _, errors) = await Run("--bank", bank, "--scene", "a cat in the snow", "--subject", "a cat", "--seed", "20");
        Assert.True(code == 0, errors);
        var plain = Image("plain-1.png");
        Assert.Contains(" Seed: 20,", Parameters("plain-1.png"));
        Assert.Contains(" Seed: 20,", Parameters("scene-1.png"));
        Assert.NotEqual(plain, Image("scene-1.png"));
        (code, _, errors) = await Run(
            "--scene", "a cat in the snow", "--subject", "a cat", "--seed", "20", "--steps", "2", "--guidance", "3", "--sharing", "0");
        Assert.True(code == 0, errors);
        Assert.Equal(plain, Image("plain-1.png"));
    }

    [Fact]
    public async Task Redrawing_changes_one_image_and_the_strip()
    {
        var bank = await Saved();
        string[] arguments = ["--bank", bank, "--scene", "a cat in the snow", "--scene", "a cat at night", "--no-plain"];
        Assert.Equal(0, (await Run(arguments)).Code);
        var (first, second, strip) = (Image("scene-1.png"), Image("scene-2.png"), Image("strip.png"));

        var (code, text, errors) = await Run([.. arguments, "--redraw", "1"]);
        Assert.True(code == 0, errors);
        Assert.StartsWith("Wrote 1 scene to ", text);
        Assert.Equal(["scene-1.png", "scene-2.png", "strip.png"], Written());
        Assert.Contains(" Seed: 15,", Parameters("scene-1.png"));
        Assert.NotEqual(first, Image("scene-1.png"));
        Assert.Equal(second, Image("scene-2.png"));
        Assert.NotEqual(strip, Image("strip.png"));

        // With its first seed it is the first image again, and the strip the first strip.
        Assert.Equal(0, (await Run([.. arguments, "--redraw", "1", "--seed", "13"])).Code);
        Assert.Equal(first, Image("scene-1.png"));
        Assert.Equal(strip, Image("strip.png"));
    }

    [Fact]
    public async Task A_scene_can_be_drawn_again_only_where_the_images_of_the_others_are()
    {
        var bank = await Saved();
        string[] arguments = ["--bank", bank, "--scene", "a cat in the snow", "--scene", "a cat at night", "--redraw", "2"];
        Directory.Delete(Output, recursive: true);
        Assert.Contains("there is no '", (await Run(arguments)).Errors);
        Directory.CreateDirectory(Output);
        new RgbImage(8, 8, new byte[8 * 8 * 3]).SavePng(Path.Combine(Output, "scene-1.png"));
        var (code, text, errors) = await Run(arguments);
        Assert.Equal((1, ""), (code, text));
        Assert.Contains("scene-1.png' is not an image of this program's; run the same command without --redraw first.", errors);
    }

    [Fact]
    public async Task What_differs_from_the_bank_is_named()
    {
        var bank = await Saved();
        async Task Refused(string message, params string[] arguments)
        {
            var (code, text, errors) = await Run(["--bank", bank, .. arguments]);
            Assert.Equal((1, ""), (code, text));
            Assert.Contains(message, Assert.Single(
                errors.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries),
                line => !line.StartsWith("Loading ", StringComparison.Ordinal)));
        }

        var other = folder.Write("other.yaml", "subjects: a dog\nscenes: [a dog]\n");
        await Refused("The story has other subjects than the bank, whose are a cat;", "--story", other);
        await Refused("The story has other subjects than the bank", "--scene", "a dog", "--subject", "a dog");
        var cast = folder.Write("cast.yaml", "cast: { Mia: a cat }\nscenes: [Mia]\n");
        await Refused("The story has other characters in its 'cast' than the bank, whose are a cat;", "--story", cast);
        var longer = folder.Write("longer.yaml", "subjects: a cat\nsteps: 9\nscenes: [a cat]\n");
        await Refused("--bank: The bank was made with Steps 2, and scenes of it must be drawn with the same; here it is 9.",
            "--story", longer);
        await Refused("--bank: The bank was made with --dtype Float32,", "--scene", "a cat", "--dtype", "bfloat16");
        await Refused("--bank: --negative is given, and the bank's anchors were made without;", "--scene", "a cat", "--negative", "a dog");
        var lost = folder.Write("lost.yaml", "scenes:\n- a cat\n- a dog\n");
        await Refused($"{lost}, line 3, column 3: The phrase \"cat\" does not occur", "--story", lost);
        foreach (var model in new[] { "tiny-kandinsky3", "tiny-sdxl" }.Select(name => ReferenceData.PathOf($"models/{name}")))
        {
            await Refused(
                $"--bank has the anchors of another model than --model '{model}'; give the model that made them.",
                "--scene", "a cat", "--model", model);
        }
    }

    [Theory]
    [InlineData("--steps cannot be given with --bank: scenes have the settings of the bank.", "--bank", "a", "--steps", "3")]
    [InlineData("--share-all-queries cannot be given with --bank:", "--bank", "a", "--share-all-queries")]
    [InlineData("--save-bank cannot be given with --bank: the anchors are those of the bank,", "--bank", "a", "--save-bank", "b")]
    [InlineData("--anchors cannot be given with --bank:", "--bank", "a", "--anchors", "2")]
    [InlineData("--bank-form cannot be given with --bank:", "--bank", "a", "--bank-form", "keys")]
    [InlineData("--bank-form needs --save-bank or --anchors:", "--bank-form", "keys")]
    [InlineData("--bank-form is 'values'; it must be trajectory or keys.", "--bank-form", "values")]
    [InlineData("--bank has the anchors, but no scenes to draw; give them by --scene or --story.", "--bank", "a")]
    [InlineData("--redraw needs --bank:", "--redraw", "2")]
    [InlineData("--block-cache cannot be given with --anchors:", "--block-cache", "0.1", "--anchors", "2")]
    [InlineData("--block-cache cannot be given with --save-bank:", "--block-cache", "0.1", "--save-bank", "a")]
    [InlineData("--anchors is '0'; it must be a whole number from 1 to 100000.", "--anchors", "0")]
    [InlineData("--anchors is '5', but the story has 4 scenes.", "--anchors", "5")]
    [InlineData("--subject-image cannot be given with --bank: the anchors are those of the bank,", "--bank", "a", "--subject-image", "b")]
    [InlineData("--block-cache cannot be given with --subject-image:", "--block-cache", "0.1", "--subject-image", "a.png")]
    [InlineData("There is no image 'nowhere.png'.", "--subject-image", "nowhere.png")]
    [InlineData("--subject-image must not be empty.", "--subject-image", "")]
    [InlineData("'.' is a folder; an image is a file.", "--subject-image", ".")]
    [InlineData("--hires is '1'; it must be a whole number from 2 to 8.", "--hires", "1")]
    [InlineData("--hires-strength is '0'; it must be a number above 0 and at most 1.", "--hires", "2", "--hires-strength", "0")]
    [InlineData("--hires-strength has no effect without --hires;", "--hires-strength", "0.5")]
    [InlineData(
        "--hires cannot be given with --redraw, which leaves the other scenes as they are.",
        "--bank", "a", "--scene", "a", "--hires", "2", "--redraw", "1")]
    [InlineData("There is no story bank 'nowhere.storybank'.", "--bank", "nowhere.storybank", "--scene", "a cat")]
    [InlineData("--save-bank is '.', which is a folder; give a file in it a name.", "--save-bank", ".")]
    public async Task A_mistake_is_one_line_before_anything_is_loaded(string message, params string[] arguments)
    {
        var (code, text, errors) = await Run(arguments);
        Assert.Equal((1, ""), (code, text));
        Assert.StartsWith(message, errors);
        Assert.DoesNotContain("Loading", errors);
    }

    [Fact]
    public async Task A_file_that_is_no_bank_is_refused()
    {
        var file = folder.Write("no.storybank", "something else entirely");
        var (code, _, errors) = await Run("--bank", file, "--scene", "a cat");
        Assert.Equal(1, code);
        Assert.StartsWith($"--bank is '{file}', which is not a story bank that can be read: ", errors);
        Assert.DoesNotContain("Loading", errors);
    }

    [Fact]
    public async Task A_plan_counts_the_anchors_of_a_bank()
    {
        var bank = await Saved();
        var (code, text, errors) = await Run("--bank", bank, "--scene", "a cat", "--plan");
        Assert.True(code == 0, errors);
        var one = Peak(text);
        var (_, alone, _) = await Run("--scene", "a cat", "--subject", "a cat", "--plan");
        Assert.True(one > Peak(alone), $"{text}{alone}");
        var (_, keys, _) = await Run([.. Story, "--save-bank", "cat.storybank", "--bank-form", "keys", "--plan"]);
        Assert.Contains("The bank will take at most ", keys, StringComparison.Ordinal);

        static int Peak(string plan) => int.Parse(Regex.Match(plan, @"on cpu: (\d+) MB").Groups[1].ValueSpan, CultureInfo.InvariantCulture);
    }

    public void Dispose() => folder.Dispose();

    private static string[] Story =>
    [
        "--scene", "a cat in the forest", "--scene", "a cat at the beach", "--subject", "a cat", "--seed", "11", "--steps", "2",
        "--guidance", "3", "--sharing", "0.5",
    ];

    private string Output => folder.PathOf("output");

    /// <summary>Makes a story of two anchors and keeps its bank.</summary>
    private async Task<string> Saved(string form = "trajectory")
    {
        var path = folder.PathOf("cat.storybank");
        var (code, text, errors) = await Run([.. Story, "--save-bank", path, "--bank-form", form, "--no-plain"]);
        Assert.True(code == 0, errors);
        Assert.Contains($"Bank: {path}, 2 anchors by StableDiffusionXLPipeline", text);
        Assert.True(File.Exists(path));
        return path;
    }

    private async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            StoryCommand.Create(), [.. arguments, "--device", "cpu", "--output", Output], text, errors,
            TestContext.Current.CancellationToken);
        return (code, text.ToString(), errors.ToString());
    }

    private IEnumerable<string> Written() =>
        Directory.EnumerateFiles(Output).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);

    private byte[] Image(string name) => RgbImage.Load(Path.Combine(Output, name)).Pixels.ToArray();

    private string Parameters(string name) => RgbImage.ReadPngText(Path.Combine(Output, name))["parameters"];
}
