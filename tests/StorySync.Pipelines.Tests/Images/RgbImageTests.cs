using CsCheck;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class RgbImageTests
{
    private static readonly Gen<RgbImage> Pictures =
        from width in Gen.Int[1, 9]
        from height in Gen.Int[1, 9]
        from pixels in Gen.Byte.Array[width * height * 3]
        select new RgbImage(width, height, pixels);

    [Fact]
    public void Png_files_keep_every_pixel_and_every_text()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "new", "picture.png");
        Gen.Select(Pictures, Gen.String[Gen.Char["aé漢\n"], 0, 20]).Sample(
            (picture, text) =>
            {
                picture.SavePng(path, new Dictionary<string, string> { ["parameters"] = text });
                var read = RgbImage.Load(path);
                return read.Pixels.SequenceEqual(picture.Pixels)
                    && RgbImage.ReadPngText(path)["parameters"] == text
                    && Directory.GetFiles(Path.GetDirectoryName(path)!).Length == 1;
            },
            iter: 50, threads: 1);
    }

    [Fact]
    public void Tensors_keep_every_pixel() => Pictures.Sample(
        picture =>
        {
            using var scope = NewDisposeScope();
            return RgbImage.FromTensor((picture.ToTensor() / 2) + 0.5)[0].Pixels.SequenceEqual(picture.Pixels);
        },
        iter: 50, threads: 1);

    [Fact]
    public void A_file_that_is_no_picture_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("picture", "no picture");
        Assert.Contains(path, Assert.Throws<InvalidDataException>(() => RgbImage.Load(path)).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => RgbImage.Load(path + ".png"));
    }

    [Fact]
    public void Pixels_must_fit_the_size() =>
        Assert.Contains("12 bytes", Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[11])).Message,
            StringComparison.Ordinal);
}
