namespace StorySync.Pipelines.Tests;

public class SubjectRegionTests
{
    [Fact]
    public void A_region_is_drawn_white_on_black_each_cell_a_rectangle()
    {
        var region = new SubjectRegion(3, 2, [true, false, false, false, false, true]);

        var image = region.ToImage(6, 4);

        Assert.Equal((6, 4), (image.Width, image.Height));
        var rows = Enumerable.Range(0, 4).Select(y => string.Concat(Enumerable.Range(0, 6).Select(x => Symbol(image, x, y))));
        Assert.Equal(["##....", "##....", "....##", "....##"], rows);
        Assert.Equal(1 / 3.0, region.Area, 1e-12);
    }

    private static string Symbol(RgbImage image, int x, int y)
    {
        var pixel = image.Pixels.Slice(((y * image.Width) + x) * 3, 3).ToArray();
        return pixel.All(value => value == 255) ? "#" : pixel.All(value => value == 0) ? "." : "?";
    }
}
