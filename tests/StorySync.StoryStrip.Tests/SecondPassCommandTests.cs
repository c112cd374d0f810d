using SkiaSharp;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

/// <summary>Images of the user's as anchors, and scenes that are drawn a second time, larger.</summary>
public sealed class SecondPassCommandTests : IDisposable
{
    private static readonly string[] Story =
    [
        "--scene", "a cat in the forest", "--scene", "a cat at the beach", "--subject", "a cat", "--seed", "11", "--steps", "4",
        "--guidance", "3", "--width", "64", "--height", "64", "--no-plain",
    ];

    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task A_image_of_ones_own_is_what_the_scenes_read()
    {
        await Made(Story);
        var without = Image("scene-1.png");
        await Made([.. Story, "--subject-image", Painted(255)]);
        var found = Image("scene-1.png");
        Assert.Equal(["scene-1.png", "scene-2.png", "strip.png"], Written());
        Assert.Contains(" Seed: 11,", Parameters("scene-1.png"));
        Assert.Contains(" Anchors: 1,", Parameters("scene-2.png"));
        Assert.NotEqual(without, found);

        // Where it is transparent the cat is not; the first scene can be an anchor too; and what was kept draws the same scene.
        var bank = folder.PathOf("cat.storybank");
        await Made([.. Story, "--subject-image", Painted(0)]);
        Assert.NotEqual(found, Image("scene-1.png"));
        await Made([.. Story, "--subject-image", Painted(0), "--anchors", "1", "--save-bank", bank, "--previews"]);
        Assert.Equal(
            [.. from scene in new[] { 1, 2 } from step in Enumerable.Range(1, 4) select $"preview-{scene}-{step}.png"],
            Written().Where(name => name.StartsWith("preview", StringComparison.Ordinal)));
        var second = Image("scene-2.png");
        await Made(["--bank", bank, "--scene", "a cat at the beach", "--seed", "12", "--no-plain"]);
        Assert.Equal(second, Image("scene-1.png"));
    }

    [Fact]
    public async Task Scenes_are_drawn_again_at_twice_the_size()
    {
        await Made([.. Story, "--masks", "--hires", "2"]);
        Assert.Equal(
            [
                "large-1-mask-1.png", "large-1.png", "large-2-mask-1.png", "large-2.png", "scene-1-mask-1.png", "scene-1.png",
                "scene-2-mask-1.png", "scene-2.png", "strip.png",
            ],
            Written());
        Assert.Contains(" Denoising strength: 0.4, Seed: 12, Size: 128x128,", Parameters("large-2.png"));
        Assert.DoesNotContain("Denoising", Parameters("scene-2.png"));
        var (mask, large) = (RgbImage.Load(PathOf("scene-1-mask-1.png")), RgbImage.Load(PathOf("large-1-mask-1.png")));
        Assert.Equal((128, 128), (large.Width, large.Height));
        Assert.All(
            Enumerable.Range(0, 64 * 64),
            i => Assert.Equal(mask.Pixels[3 * i], large.Pixels[3 * ((2 * (i / 64) * 128) + (2 * (i % 64)))]));
        var once = Image("large-1.png");
        await Made([.. Story, "--hires", "2", "--hires-strength", "0.9"]);
        Assert.NotEqual(once, Image("large-1.png"));

        // The files of the second time go with the next run.
        await Made(Story);
        Assert.DoesNotContain("large-1.png", Written());
    }

    [Fact]
    public async Task Scenes_of_a_bank_are_enlarged_with_its_anchors()
    {
        var bank = folder.PathOf("cat.storybank");
        await Made([.. Story, "--save-bank", bank, "--hires", "3"]);
        Assert.Contains(" Size: 192x192,", Parameters("large-1.png"));
        await Made(["--bank", bank, "--scene", "a cat in the snow", "--scene", "a cat at night", "--no-plain", "--hires", "2"]);
        Assert.Contains(" Size: 128x128,", Parameters("large-2.png"));
        Assert.Contains(" Seed: 14,", Parameters("large-2.png"));
        var together = Image("large-2.png");
        await Made(["--bank", bank, "--scene", "a cat at night", "--seed", "14", "--no-plain", "--hires", "2"]);
        Assert.Equal(together, Image("large-1.png"));
    }

    [Fact]
    public async Task What_cannot_be_done_is_said_in_the_options_words()
    {
        await Refused(
            "--hires-strength: Of 4 steps, a strength of 0.1 leaves none. Raise the strength or the number of steps.",
            "--hires", "2", "--hires-strength", "0.1");
        await Refused($"--subject-image '{Painted(1)}' is transparent everywhere;", "--subject-image", Painted(1));
        var text = folder.Write("no.png", "something else entirely");
        await Refused("--subject-image: ", "--subject-image", text);
        await RefusedAlone(
            "--hires is '8', but 8 times 128×131072 has more than 131072 pixels a side.",
            "--scene", "a cat", "--subject", "a cat", "--hires", "8", "--height", "131072");

        Task Refused(string message, params string[] arguments) => RefusedAlone(message, [.. Story, .. arguments]);

        async Task RefusedAlone(string message, params string[] arguments)
        {
            var (code, written, errors) = await Run(arguments);
            Assert.Equal((1, ""), (code, written));
            var first = errors.Split(Environment.NewLine).First(line => !line.StartsWith("Loading ", StringComparison.Ordinal));
            Assert.StartsWith(message, first);
        }
    }

    public void Dispose() => folder.Dispose();

    private string Output => folder.PathOf("output");

    /// <summary>A green disc, around it this much alpha; with 1 nothing is opaque.</summary>
    private string Painted(byte alpha)
    {
        var path = folder.PathOf($"disc-{alpha}.png");
        using var bitmap = new SKBitmap(new SKImageInfo(96, 96, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var y = 0; y < 96; y++)
        {
            for (var x = 0; x < 96; x++)
            {
                var inside = Math.Pow(x - 48, 2) + Math.Pow(y - 48, 2) < 900;
                bitmap.SetPixel(x, y, new SKColor(30, 190, 60, inside && alpha != 1 ? (byte)255 : alpha));
            }
        }

        using var file = File.Create(path);
        bitmap.Encode(file, SKEncodedImageFormat.Png, 100);
        return path;
    }

    private async Task Made(string[] arguments)
    {
        var (code, _, errors) = await Run(arguments);
        Assert.True(code == 0, errors);
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

    private string PathOf(string name) => Path.Combine(Output, name);

    private byte[] Image(string name) => RgbImage.Load(PathOf(name)).Pixels.ToArray();

    private string Parameters(string name) => RgbImage.ReadPngText(PathOf(name))["parameters"];
}
