using System.Buffers.Binary;
using System.CommandLine;
using System.Text;
using StorySync.Pipelines;
using StorySync.Samples.StoryStrip;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

public sealed class StoryCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task A_run_writes_the_scenes_the_masks_and_the_strip()
    {
        var (code, _, errors) = await Run(
            "--scene", "a cat in the snow", "--scene", "a cat at the beach", "--subject", "a cat", "--negative", "a frog",
            "--steps", "2", "--guidance", "3", "--seed", "11", "--sharing", "0.5", "--masks", "--device", "cpu");

        Assert.True(code == 0, errors);
        Assert.Equal(
            ["plain-1-mask-1.png", "plain-1.png", "plain-2-mask-1.png", "plain-2.png", "scene-1-mask-1.png", "scene-1.png", "scene-2-mask-1.png", "scene-2.png", "strip.png"],
            Written().Order(StringComparer.Ordinal));
        Assert.All(Written().Where(name => name != "strip.png"), name => Assert.Equal((128, 128), SizeOf(name)));
        Assert.NotEqual(Bytes("plain-1.png"), Bytes("scene-1.png"));

        // Two rows and two columns of 256 pixels a side, and room for titles and captions.
        var (width, height) = SizeOf("strip.png");
        Assert.InRange(width, 512, 640);
        Assert.InRange(height, 512, 640);

        var parameters = ParametersOf("scene-2.png");
        Assert.StartsWith("a cat at the beach\nNegative prompt: a frog\n", parameters);
        Assert.Contains("Steps: 2, CFG scale: 3, Seed: 12, Size: 128x128, Model: storybook", parameters);
        Assert.Contains("Sharing: 0.5,", parameters);
        Assert.Contains("Sharing: 0,", ParametersOf("plain-2.png"));
    }

    [Fact]
    public async Task Without_the_plain_model_there_is_one_row()
    {
        var story = folder.Write("story.yaml", "subjects: [a bear]\nseed: 3\nsteps: 1\nscenes:\n  - prompt: a bear in the city\n  - prompt: a bear waving\n");
        var (code, _, errors) = await Run("--story", story, "--no-plain", "--guidance-end", "0.5", "--block-cache", "0.1", "--device", "cpu");

        Assert.True(code == 0, errors);
        Assert.Equal(["scene-1.png", "scene-2.png", "strip.png"], Written().Order(StringComparer.Ordinal));
        Assert.InRange(SizeOf("strip.png").Height, 256, 384);
        Assert.Contains("Steps: 1, ", ParametersOf("scene-1.png"));
        Assert.Contains(" Guidance end: 0.5, Block cache: 0.1, ", ParametersOf("scene-1.png"));
        Assert.Contains("Seed: 4,", ParametersOf("scene-2.png"));
    }

    [Theory]
    [InlineData("--strength", "--strength", "2")]
    [InlineData("--steps must be at least 1", "--steps", "0")]
    [InlineData("--subject", "--scene", "a cat in the snow")]
    [InlineData("Strength", "--sharing", "-1")]
    [InlineData("GuidanceEnd", "--guidance-end", "0")]
    [InlineData("BlockCacheThreshold", "--block-cache", "-0.1")]
    [InlineData("nowhere.yaml", "--story", "nowhere.yaml")]
    [InlineData("no-such-model", "--model", "./no-such-model")]
    [InlineData("dragon", "--subject", "a dragon")]
    public async Task What_makes_no_sense_is_named_and_nothing_is_written(string message, params string[] arguments)
    {
        Directory.CreateDirectory(Output);
        File.WriteAllText(Path.Combine(Output, "scene-1.png"), "an older picture");

        var (code, _, errors) = await Run(arguments);

        Assert.NotEqual(0, code);
        Assert.Contains(message, errors);
        Assert.Equal(["scene-1.png"], Written());
        Assert.Equal("an older picture", File.ReadAllText(Path.Combine(Output, "scene-1.png")));
    }

    public void Dispose() => folder.Dispose();

    private string Output => folder.PathOf("output");

    /// <summary>Runs the program. What it says goes to the process's console, so these tests must not run beside each other: they are in
    /// one class.</summary>
    private async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        var (before, errorsBefore) = (Console.Out, Console.Error);
        using var text = new StringWriter();
        using var errors = new StringWriter();
        Console.SetOut(text);
        Console.SetError(errors);
        try
        {
            var code = await StoryCommand.Create().Parse([.. arguments, "--output", Output])
                .InvokeAsync(new InvocationConfiguration { Output = text, Error = errors }, TestContext.Current.CancellationToken);
            return (code, text.ToString(), errors.ToString());
        }
        finally
        {
            Console.SetOut(before);
            Console.SetError(errorsBefore);
        }
    }

    private IEnumerable<string> Written() => Directory.EnumerateFileSystemEntries(Output).Select(path => Path.GetFileName(path)!);

    private byte[] Bytes(string name) => RgbImage.Load(Path.Combine(Output, name)).Pixels.ToArray();

    private (int Width, int Height) SizeOf(string name)
    {
        var image = RgbImage.Load(Path.Combine(Output, name));
        return (image.Width, image.Height);
    }

    /// <summary>The text of a PNG's chunk <c>iTXt</c> with the keyword <c>parameters</c>.</summary>
    private string ParametersOf(string name)
    {
        ReadOnlySpan<byte> png = File.ReadAllBytes(Path.Combine(Output, name));
        var keyword = "iTXtparameters\0\0\0\0\0"u8;
        var chunk = png.IndexOf(keyword);
        Assert.True(chunk > 0, $"{name} tells no parameters.");
        var length = BinaryPrimitives.ReadInt32BigEndian(png[(chunk - 4)..]);
        return Encoding.UTF8.GetString(png.Slice(chunk + keyword.Length, length - (keyword.Length - 4)));
    }
}
