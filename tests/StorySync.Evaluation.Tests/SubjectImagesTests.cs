using StorySync.Pipelines;

namespace StorySync.Evaluation.Tests;

public class SubjectImagesTests
{
    private static readonly SubjectRegion Corner = Regions.Of("...#", "...#", "....");

    [Fact]
    public void A_crop_is_the_square_around_the_subject_moved_into_the_image()
    {
        var crop = SubjectImages.Crop(Images.Numbered(8, 6), Corner);
        Assert.Equal((4, 4), (crop.Width, crop.Height));
        Assert.Equal((4, 0, 7), Images.At(crop, 0, 0));
        Assert.Equal((7, 3, 7), Images.At(crop, 3, 3));
    }

    [Fact]
    public void Gray_fills_up_what_the_image_is_too_small_for()
    {
        var crop = SubjectImages.Crop(Images.Numbered(8, 2), Regions.Of("####"));
        Assert.Equal((8, 8), (crop.Width, crop.Height));
        Assert.Equal((128, 128, 128), Images.At(crop, 0, 2));
        Assert.Equal((3, 0, 7), Images.At(crop, 3, 3));
        Assert.Equal((3, 1, 7), Images.At(crop, 3, 4));
        Assert.Equal((128, 128, 128), Images.At(crop, 7, 5));
    }

    [Fact]
    public void Background_goes_and_the_subject_stays()
    {
        var image = Images.Numbered(8, 6);
        var gray = SubjectImages.WithoutBackground(image, Corner);
        var noise = SubjectImages.OnNoise(image, Corner, seed: 1);
        Assert.Equal((128, 128, 128), Images.At(gray, 0, 0));
        Assert.Equal((6, 3, 7), Images.At(gray, 6, 3));
        Assert.Equal((6, 3, 7), Images.At(noise, 6, 3));
        Assert.Equal(noise.Pixels, SubjectImages.OnNoise(image, Corner, seed: 1).Pixels);
        Assert.False(noise.Pixels.SequenceEqual(SubjectImages.OnNoise(image, Corner, seed: 2).Pixels));
    }

    [Fact]
    public void An_empty_region_has_no_crop_and_no_color()
    {
        Assert.Throws<ArgumentException>(() => SubjectImages.Crop(Images.Numbered(4, 4), Regions.Of("..")));
        Assert.Throws<ArgumentException>(() => SubjectColor.Mean(Images.Numbered(4, 4), Regions.Of("..")));
    }
}
