using CsCheck;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

public class CLIPImageProcessorTests
{
    private static readonly CLIPImageProcessor Plain =
        new() { DoResize = false, DoCenterCrop = false, DoRescale = false, DoNormalize = false };

    private static CLIPImageProcessor Parsed(string json)
    {
        using var folder = new TemporaryFolder();
        folder.Write("preprocessor_config.json", json);
        return CLIPImageProcessor.Load(ModelFolder.Open(folder.Path));
    }

    [Fact]
    public void An_empty_config_is_that_of_the_released_model() => Assert.Equivalent(new CLIPImageProcessor(), Parsed("{}"));

    [Theory]
    [InlineData("""{"size": 20, "crop_size": 16}""", 30, 60, 20, 40)]
    [InlineData("""{"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}}""", 61, 30, 40, 20)]
    [InlineData("""{"size": {"height": 7, "width": 9}, "crop_size": 16}""", 30, 60, 7, 9)]
    public void Sizes_are_read_in_every_form(string json, int height, int width, int newHeight, int newWidth)
    {
        var processor = Parsed(json);

        Assert.Equal((newHeight, newWidth), processor.Size.ToResize(height, width));
        Assert.Equal((16, 16), processor.CropSize.ToCrop());
    }

    [Theory]
    [InlineData("""{"resample": 2}""", "resample")]
    [InlineData("""{"size": "large"}""", "size")]
    [InlineData("""{"size": {"shortest_edge": 0}}""", "size")]
    [InlineData("""{"image_mean": [0.5]}""", "image_mean")]
    public void Wrong_entries_are_named(string json, string entry) =>
        Assert.Contains($"'{entry}'", Assert.Throws<ModelFileException>(() => Parsed(json)).Message, StringComparison.Ordinal);

    [Fact]
    public void An_image_of_the_right_size_is_not_changed() =>
        Gen.Select(Gen.Int[1, 12], Gen.Int[1, 12], Gen.Byte.Array[12 * 12 * 3]).Sample((height, width, bytes) =>
        {
            using var scope = NewDisposeScope();
            var pixels = bytes.AsSpan(0, height * width * 3).ToArray();
            var processor = Plain with { DoResize = true, Size = Math.Min(height, width) };

            return processor.Preprocess(pixels, height,
                width).Equals(tensor(pixels, [1, height, width, 3]).permute(0, 3, 1, 2).to(ScalarType.Float32));
        }, iter: 50);

    [Fact]
    public void One_color_stays_that_color_at_every_size() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 40], Gen.Byte).Sample((height, width, edge, value) =>
        {
            using var scope = NewDisposeScope();
            var pixels = new byte[height * width * 3];
            Array.Fill(pixels, value);

            return (Plain with { DoResize = true, Size = edge }).Preprocess(pixels, height, width).eq(value).all().item<bool>();
        }, iter: 100);

    /// <summary>Pixels computed with Pillow 13.0.0; in both the order of the passes shows.</summary>
    [Theory]
    [InlineData(9, 4, 3, new[]
    {
        73, 71, 88, 144, 194, 176, 118, 102, 176, 192, 121, 130, 114, 229, 163, 84, 114, 133, 111, 91, 136, 120, 187, 58, 153, 132, 124,
        142, 136, 138, 155, 85, 194, 163, 145, 115, 101, 162, 101, 100, 125, 23, 85, 51, 125, 126, 115, 120, 68, 72, 7, 145, 116, 106,
    })]
    [InlineData(3, 11, 2, new[]
    {
        56, 77, 110, 103, 170, 95, 147, 84, 120, 192, 141, 185, 131, 144, 186, 172, 165, 133, 87, 190, 147, 128, 77, 150, 129, 146, 77,
        124, 168, 46, 113, 68, 162, 103, 134, 100, 75, 106, 53, 166, 85, 157,
    })]
    public void Resizing_is_that_of_Pillow(int height, int width, int edge, int[] expected)
    {
        using var scope = NewDisposeScope();
        byte[] pixels = [.. Enumerable.Range(0, height * width * 3).Select(i => (byte)((i * i * 7) + (13 * i)))];
        var resized = (Plain with { DoResize = true, Size = edge }).Preprocess(pixels, height, width);

        Assert.Equal(expected, resized[0].permute(1, 2, 0).contiguous().data<float>().Select(value => (int)value));
    }

    [Fact]
    public void A_crop_beyond_the_image_is_black()
    {
        using var scope = NewDisposeScope();
        var pixels = (Plain with { DoCenterCrop = true, CropSize = 4 }).Preprocess(ones([1, 3, 3], ScalarType.Byte));

        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0], pixels[0, 0].data<float>().ToArray());
    }

    [Fact]
    public void Images_that_are_none_are_refused()
    {
        using var scope = NewDisposeScope();

        Assert.Throws<ArgumentException>(() => Plain.Preprocess(ones(4, 4, 3)));
        Assert.Throws<ArgumentException>(() => Plain.Preprocess(ones([3, 4, 4], ScalarType.Byte)));
        Assert.Throws<ArgumentException>(() => Plain.Preprocess(new byte[10], 2, 2));
        Assert.Contains("224 × 4480000", Assert.Throws<ArgumentException>(
            () => (Plain with { DoResize = true }).Preprocess(new byte[60000], 20000, 1)).Message, StringComparison.Ordinal);
    }
}
