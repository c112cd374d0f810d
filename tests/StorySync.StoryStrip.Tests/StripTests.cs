using StorySync.Books;
using StorySync.Samples;
using StorySync.Pipelines;

namespace StorySync.StoryStrip.Tests;

public class StripTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(4, 4, 1)]
    [InlineData(5, 5, 1)]
    [InlineData(6, 3, 2)]
    [InlineData(9, 5, 2)]
    [InlineData(11, 4, 3)]
    public void Long_stories_wrap(int scenes, int columns, int bands)
    {
        var strip = Draw([.. Enumerable.Repeat("a cat", scenes)], 128, 128);
        Assert.InRange(strip.Width, columns * 256, ((columns + 1) * 256) - 1);
        Assert.InRange(strip.Height, bands * 256, ((bands + 1) * 256) - 1);
    }

    [Theory]
    [InlineData(128, 128, 256)]
    [InlineData(100, 50, 200)]
    [InlineData(300, 300, 300)]
    [InlineData(1024, 512, 512)]
    public void Small_images_grow_by_whole_factors_and_large_ones_shrink(int width, int height, int column) =>
        Assert.InRange(Draw(["a cat"], width, height).Width, column, column + 64);

    [Fact]
    public void A_caption_is_wrapped_and_ends_in_an_ellipsis_where_it_does_not_fit()
    {
        using var text = new StripText(15);
        Assert.Equal(["a cat"], text.Wrap("  a\n cat ", 200, 3));
        var lines = text.Wrap(string.Join(' ', Enumerable.Repeat("word", 100)), 200, 3);
        Assert.Equal(3, lines.Count);
        Assert.EndsWith("…", lines[2]);
        Assert.All(lines, line => Assert.InRange(text.Measure(line), 100, 200));
        Assert.All(lines.Take(2), line => Assert.EndsWith("word", line));
    }

    [Theory]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("在森林里散步的一只非常可爱的小猫在森林里散步的一只非常可爱的小猫")]
    [InlineData("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧")]
    public void Words_without_end_are_broken_between_characters(string word)
    {
        using var text = new StripText(15);
        var lines = text.Wrap(word, 150, 20);
        Assert.True(lines.Count > 1);
        Assert.Equal(word, string.Concat(lines));
        Assert.All(lines, line => Assert.False(line.StartsWith('\u200d') || char.IsLowSurrogate(line[0])));
        Assert.All(lines, line => Assert.InRange(text.Measure(line), 1, 150));
    }

    [Theory]
    [InlineData(0x2603)]
    [InlineData(0x4E2D)]
    [InlineData(0x1F600)]
    public void A_character_that_the_embedded_font_lacks_comes_from_a_font_of_the_system(int character)
    {
        using var system = SystemFonts.Match(character);
        Assert.SkipWhen(system is null, "No font of this system has the character.");
        using var font = new SkiaSharp.SKFont(system, 15);
        using var text = new StripText(15);
        Assert.Equal(font.MeasureText(char.ConvertFromUtf32(character)), text.Measure(char.ConvertFromUtf32(character)), 0.01);
    }

    private static RgbImage Draw(string[] captions, int width, int height) => Strip.Draw(
        [("plain", [.. captions.Select(_ => new RgbImage(width, height, new byte[width * height * 3]))])], captions);
}
