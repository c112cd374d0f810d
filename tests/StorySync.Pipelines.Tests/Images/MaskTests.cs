using System.Text.Json;
using SkiaSharp;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests.Images;

/// <summary>Masks are read as diffusers reads them: alpha dropped, luma, a threshold of one half.</summary>
public class MaskTests
{
    private const int Size = 64;

    private static readonly RgbImage Picture = new(Size, Size, [.. Enumerable.Range(0, Size * Size * 3).Select(i => (byte)(i * 7))]);

    [Fact]
    public void White_strokes_on_a_transparent_canvas_are_white_strokes()
    {
        // The left half is white; the rest is transparent black, as a canvas exports it, or black.
        var strokes = Paint(x => x < Size / 2 ? SKColors.White : SKColors.Empty);
        var opaque = Paint(x => x < Size / 2 ? SKColors.White : SKColors.Black);
        var everything = Paint(_ => SKColors.White);

        var expected = Inpaint(opaque);
        Assert.True(expected.SequenceEqual(Inpaint(strokes)));
        Assert.False(expected.SequenceEqual(Inpaint(everything)));
        Assert.Equal(0.5, Area(strokes), 6);
    }

    /// <summary>Every second row of the right half is black, the others red, whose luma is below one half; the left half is white. What
    /// the palette has for transparent pixels counts, whichever entry that is.</summary>
    [Theory]
    [InlineData("canvas.png")]
    [InlineData("canvas.gif")]
    [InlineData("canvas-white.gif")]
    [InlineData("canvas-interlaced.gif")]
    [InlineData("canvas-animated.gif")]
    [InlineData("canvas.webp")]
    public void Transparent_pixels_of_a_mask_file_count_by_their_stored_color(string name)
    {
        var mask = RgbImage.Load(Golden.PathOf($"images/{name}"));
        using var white = mask.WithoutAlpha().ToMask();
        Assert.Equal(0.5, white.data<bool>().Count(value => value) / (double)(mask.Width * mask.Height), 6);
        Assert.Contains((byte)0, mask.WithoutAlpha().Pixels.ToArray());

        var read = JsonSerializer.Deserialize<RgbImage>(JsonSerializer.Serialize(mask))!;
        Assert.Equal(mask.WithoutAlpha().Pixels.ToArray(), read.WithoutAlpha().Pixels.ToArray());
    }

    [Fact]
    public void A_transparent_mask_keeps_its_meaning_in_JSON_in_a_bank_and_when_resized()
    {
        var strokes = Paint(x => x < Size / 2 ? SKColors.White : SKColors.Empty);
        var read = JsonSerializer.Deserialize<RgbImage>(JsonSerializer.Serialize(strokes))!;
        Assert.Equal(strokes.Pixels.ToArray(), read.Pixels.ToArray());
        Assert.Equal(strokes.WithoutAlpha().Pixels.ToArray(), read.WithoutAlpha().Pixels.ToArray());
        Assert.Equal(0.5, Area(read), 6);

        var half = strokes.Resize(Size / 2, Size / 2);
        var readHalf = JsonSerializer.Deserialize<RgbImage>(JsonSerializer.Serialize(half))!;
        Assert.Equal(half.WithoutAlpha().Pixels.ToArray(), readHalf.WithoutAlpha().Pixels.ToArray());

        using var pipeline = Load();
        var story = new Story { Subjects = ["fox"], Scenes = [new Scene("a fox") { Subjects = [new Subject("fox").At(strokes)] }] };
        using var bank = pipeline.CreateBank(story, new StoryOptions { Request = new() { Height = Size, Width = Size, Steps = 1 } });
        using var folder = new TemporaryFolder();
        bank.Save(folder.PathOf("fox.storybank"));
        using var kept = StoryBank.Load(folder.PathOf("fox.storybank"));
        Assert.Equal(0.5, Area(kept.Card.Story.Scenes[0].Subjects[0].Mask!), 6);
    }

    [Theory]
    [InlineData(0, 255, 0, true)]
    [InlineData(255, 0, 255, false)]
    [InlineData(255, 0, 0, false)]
    [InlineData(127, 127, 127, false)]
    [InlineData(128, 128, 128, true)]
    public void A_colored_mask_counts_by_its_luma(byte red, byte green, byte blue, bool isWhite)
    {
        var mask = Paint(x => x < Size / 4 ? SKColors.White : new SKColor(red, green, blue));
        Assert.Equal(isWhite ? 1 : 0.25, Area(mask), 6);
        Assert.Equal(isWhite, Inpaint(mask).SequenceEqual(Inpaint(Paint(_ => SKColors.White))));
    }

    [Fact]
    public void A_mask_without_white_is_refused()
    {
        var black = Paint(_ => new SKColor(100, 100, 100));
        using var pipeline = Load();
        var request = new GenerationRequest { Prompts = ["a fox"], Images = [Picture], Mask = black, Steps = 1 };
        Assert.Contains("has no white", Assert.Throws<ArgumentException>(() => pipeline.Generate(request)).Message,
            StringComparison.Ordinal);

        var story = new Story { Subjects = ["fox"], Scenes = [new Scene("a fox") { Subjects = [new Subject("fox").At(black)] }] };
        var error = Assert.Throws<ArgumentException>(() =>
            pipeline.GenerateStory(story, new StoryOptions { Request = new() { Height = Size, Width = Size, Steps = 1 } }));
        Assert.Contains("Scene 1: the mask of \"fox\" has no white", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_image_too_small_to_begin_from_is_said_to_be()
    {
        using var pipeline = Load();
        var request = new GenerationRequest { Prompts = ["a fox"], Images = [new RgbImage(1, 1, [1, 2, 3])], Steps = 2, Strength = 0.6 };
        Assert.Contains("1×1; it is too small", Assert.Throws<ArgumentException>(() => pipeline.Generate(request)).Message,
            StringComparison.Ordinal);
    }

    private static double Area(RgbImage mask)
    {
        using var white = mask.WithoutAlpha().ToMask();
        return white.data<bool>().Count(value => value) / (double)(Size * Size);
    }

    private static byte[] Inpaint(RgbImage mask)
    {
        using var pipeline = Load();
        using var result = pipeline.Generate(new GenerationRequest
        {
            Prompts = ["a fox"], Images = [Picture], Mask = mask, Strength = 1, Steps = 2, Seed = 1,
        });
        return result.Images[0].Pixels.ToArray();
    }

    private static DiffusionPipeline Load() =>
        DiffusionPipeline.Load(ReferenceData.PathOf("models/tiny-sdxl"), new PipelineOptions { Device = "cpu" });

    private static RgbImage Paint(Func<int, SKColor> color)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(Size, Size, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var i = 0; i < Size * Size; i++)
        {
            bitmap.SetPixel(i % Size, i / Size, color(i % Size));
        }

        return RgbImage.FromBitmap(bitmap);
    }
}
