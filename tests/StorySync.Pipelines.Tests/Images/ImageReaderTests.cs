using System.Buffers.Binary;
using SkiaSharp;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests.Images;

public class ImageReaderTests
{
    // JPEG's decoders differ in the last bits of their arithmetic.
    private const int OfJpeg = 2;

    public static TheoryData<string> Files() =>
        [.. Directory.GetFiles(Golden.PathOf("images")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Files))]
    public void An_image_is_read_as_diffusers_reads_it(string name)
    {
        using var golden = new Golden("images.safetensors");
        var image = RgbImage.Load(Golden.PathOf($"images/{name}"));

        Assert.Equal(golden.Size(name), (image.Height, image.Width));
        AssertClose(golden.Bytes(name), image.WithoutAlpha().Pixels, Tolerance(name));
        AssertClose(golden.Bytes("luma." + name), image.WithoutAlpha().ToLuma(), Tolerance(name));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Files_streams_and_memory_give_the_same_image(string name)
    {
        var path = Golden.PathOf($"images/{name}");
        var expected = RgbImage.Load(path);
        using var stream = File.OpenRead(path);

        Assert.True(expected.Pixels.SequenceEqual(RgbImage.Load(stream).Pixels));
        Assert.True(expected.Pixels.SequenceEqual(RgbImage.Decode(File.ReadAllBytes(path)).Pixels));
    }

    [Theory]
    [InlineData("rgba.png")]
    [InlineData("rgba.webp")]
    [InlineData("gray-alpha.png")]
    [InlineData("palette-transparent.png")]
    [InlineData("rgb-transparent-color.png")]
    public void Transparent_pixels_of_an_image_are_laid_over_white(string name)
    {
        var path = Golden.PathOf($"images/{name}");
        using var bitmap = SKBitmap.Decode(path, new SKImageInfo(14, 10, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        var expected = new byte[bitmap.Width * bitmap.Height * 3];
        for (var i = 0; i < expected.Length; i++)
        {
            var color = bitmap.GetPixel(i / 3 % bitmap.Width, i / 3 / bitmap.Width);
            var value = (i % 3) switch { 0 => color.Red, 1 => color.Green, _ => color.Blue };
            expected[i] = (byte)Math.Round((value * color.Alpha / 255.0) + 255 - color.Alpha);
        }

        Assert.Contains(bitmap.Pixels, color => color.Alpha < byte.MaxValue);
        AssertClose(expected, RgbImage.Load(path).Pixels, tolerance: 1);
    }

    [Fact]
    public void Luma_is_Pillows()
    {
        using var golden = new Golden("images.safetensors");
        Assert.Equal(golden.Bytes("colors.luma"), new RgbImage(4096, 1, golden.Bytes("colors")).ToLuma());
    }

    [Fact]
    public void A_mask_is_white_from_a_luma_of_one_half_on()
    {
        using var mask = new RgbImage(5, 1, [127, 127, 127, 128, 128, 128, 0, 255, 0, 255, 0, 255, 255, 0, 0]).ToMask();
        Assert.Equal([false, true, true, false, false], mask.data<bool>().ToArray());
    }

    [Theory]
    [InlineData("exif1.png")]
    [InlineData("exif6.jpg")]
    [InlineData("exif7.webp")]
    [InlineData("palette.gif")]
    [InlineData("picture.bmp")]
    public void A_truncated_image_is_refused(string name)
    {
        var whole = File.ReadAllBytes(Golden.PathOf($"images/{name}"));
        for (var length = 0; length < whole.Length * 3 / 4; length += 7)
        {
            var error = Assert.Throws<InvalidDataException>(() => RgbImage.Decode(whole.AsSpan(0, length)));
            Assert.StartsWith("The data ", error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>A progressive JPEG holds a coarse image first, which decoders give without an error. Pillow refuses what lacks the
    /// end.</summary>
    [Theory]
    [InlineData("progressive.jpg")]
    [InlineData("exif6.jpg")]
    [InlineData("gray.jpg")]
    [InlineData("icc.jpg")]
    public void A_JPEG_that_lacks_its_end_is_refused(string name)
    {
        var whole = File.ReadAllBytes(Golden.PathOf($"images/{name}"));
        for (var length = 0; length < whole.Length; length++)
        {
            Assert.Throws<InvalidDataException>(() => RgbImage.Decode(whole.AsSpan(0, length)));
        }

        RgbImage.Decode([.. whole, 0, 0xFF, 0xD8]);
    }

    [Fact]
    public void A_truncated_file_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        var whole = File.ReadAllBytes(Golden.PathOf("images/exif1.png"));
        var path = folder.Write("half.png", whole.AsSpan(0, whole.Length * 2 / 3).ToArray());
        Assert.Contains($"'{path}' is truncated", Assert.Throws<InvalidDataException>(() => RgbImage.Load(path)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(16383, 16383)]
    [InlineData(30000, 30000)]
    [InlineData(int.MaxValue, 1)]
    [InlineData(1, 178_956_971)]
    public void A_header_that_claims_too_many_pixels_is_refused_before_they_are_decoded(int width, int height)
    {
        var bytes = Png(width, height);
        var before = GC.GetAllocatedBytesForCurrentThread();

        var error = Assert.Throws<InvalidDataException>(() => RgbImage.Decode(bytes));

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.True(
            error.Message.Contains($"{width} × {height}", StringComparison.Ordinal)
                && error.Message.Contains("178,956,970", StringComparison.Ordinal)
            || error.Message.Contains("not an image", StringComparison.Ordinal), error.Message);
    }

    [Fact]
    public void The_largest_size_is_the_callers_to_set()
    {
        var path = Golden.PathOf("images/exif1.png");
        Assert.Equal(14, RgbImage.Load(path, maxPixels: 140).Width);
        Assert.Contains("14 × 10", Assert.Throws<InvalidDataException>(() => RgbImage.Load(path, maxPixels: 139)).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => RgbImage.Load(path, maxPixels: 0));
    }

    [Fact]
    public void Damaged_images_end_in_one_kind_of_exception()
    {
        var random = new Random(5);
        foreach (var path in Directory.GetFiles(Golden.PathOf("images")))
        {
            var whole = File.ReadAllBytes(path);
            for (var i = 0; i < 60; i++)
            {
                var bytes = (byte[])whole.Clone();
                for (var change = random.Next(1, 5); change > 0; change--)
                {
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                }

                try
                {
                    var image = RgbImage.Decode(bytes, maxPixels: 1 << 20);
                    Assert.Equal(image.Width * image.Height * 3, image.Pixels.Length);
                }
                catch (InvalidDataException)
                {
                }
            }
        }
    }

    [Fact]
    public void The_hostile_images_of_the_reference_are_refused()
    {
        var folder = Path.GetFullPath(Path.Combine(ReferenceData.RequireRoot(), "..", "cases", "hostile", "images"));
        Assert.SkipUnless(Directory.Exists(folder), "There are no such images.");
        foreach (var path in Directory.GetFiles(folder))
        {
            Assert.Contains(path, Assert.Throws<InvalidDataException>(() => RgbImage.Load(path)).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(ImageFormat.Png, 0)]
    [InlineData(ImageFormat.WebP, 0)]
    [InlineData(ImageFormat.Jpeg, 4)]
    public void Images_are_written_and_read_in_every_format(ImageFormat format, int tolerance)
    {
        var image = new RgbImage(16, 16, [.. Enumerable.Range(0, 16 * 16 * 3).Select(i => (byte)(i / 3))]);
        using var stream = new MemoryStream();
        image.Save(stream, format, quality: 100);
        using var folder = new TemporaryFolder();
        var path = folder.PathOf($"image.{format}");
        image.Save(path, quality: 100);
        AssertClose(image.Pixels, RgbImage.Load(path).Pixels, tolerance);

        stream.Position = 0;
        AssertClose(image.Pixels, RgbImage.Load(stream).Pixels, tolerance);
        AssertClose(image.Pixels, RgbImage.Decode(image.Encode(format, quality: 100)).Pixels, tolerance);
    }

    [Fact]
    public void A_bitmap_keeps_the_colors_of_transparent_pixels_for_masks()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(2, 1, SKColorType.Bgra8888, SKAlphaType.Unpremul));
        bitmap.SetPixel(0, 0, new SKColor(255, 255, 255, 255));
        bitmap.SetPixel(1, 0, new SKColor(0, 0, 0, 0));
        var image = RgbImage.FromBitmap(bitmap);

        Assert.Equal([255, 255, 255, 255, 255, 255], image.Pixels.ToArray());
        Assert.Equal([255, 255, 255, 0, 0, 0], image.WithoutAlpha().Pixels.ToArray());
    }

    public static TheoryData<int> Sizes() => [.. Enumerable.Range(0, 8)];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Resizing_is_Pillows_Lanczos(int number)
    {
        using var golden = new Golden("resize.safetensors");
        var (height, width) = golden.Size($"{number}.source");
        var (newHeight, newWidth) = golden.Size($"{number}.lanczos");
        var resized = new RgbImage(width, height, golden.Bytes($"{number}.source")).Resize(newWidth, newHeight);

        Assert.Equal(golden.Bytes($"{number}.lanczos"), resized.Pixels.ToArray());
    }

    // Pillow widens five bits to eight downward, SkiaSharp to the nearest.
    private static int Tolerance(string name) =>
        name.EndsWith(".jpg", StringComparison.Ordinal) ? OfJpeg : name == "rgb555.bmp" ? 1 : 0;

    private static void AssertClose(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, int tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.InRange(actual[i] - expected[i], -tolerance, tolerance);
        }
    }

    /// <summary>A PNG file of a header alone.</summary>
    private static byte[] Png(int width, int height)
    {
        byte[] header = [.. "IHDR"u8, .. new byte[8], 8, 2, 0, 0, 0];
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(8), height);
        return [0x89, .. "PNG\r\n"u8, 0x1A, (byte)'\n', 0, 0, 0, 13, .. header, .. Checksum(header), .. new byte[4], .. "IDAT"u8,
            .. Checksum("IDAT"u8)];

        static byte[] Checksum(ReadOnlySpan<byte> data)
        {
            var result = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(result, System.IO.Hashing.Crc32.HashToUInt32(data));
            return result;
        }
    }
}
