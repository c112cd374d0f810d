using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests.Images;

/// <summary>Image files that are cut, claim what they do not have, or are no files: each is refused by an InvalidDataException that names
/// it, or is the right image.</summary>
public class HostileImageTests
{
    public static TheoryData<string> Files() => ImageReaderTests.Files();

    [Theory]
    [MemberData(nameof(Files))]
    public void A_file_that_is_cut_at_any_tenth_is_refused_or_whole(string name)
    {
        var whole = File.ReadAllBytes(Golden.PathOf($"images/{name}"));
        var expected = RgbImage.Decode(whole).Pixels.ToArray();
        foreach (var length in Enumerable.Range(0, 10).Select(tenth => whole.Length * tenth / 10).Append(whole.Length - 1))
        {
            try
            {
                // Of an animation the first picture may be there.
                Assert.True(
                    expected.AsSpan().SequenceEqual(RgbImage.Decode(whole.AsSpan(0, length)).Pixels), $"{length} of {whole.Length} bytes");
            }
            catch (InvalidDataException error)
            {
                Assert.StartsWith("The data ", error.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("exif1.png")]
    [InlineData("icc.png")]
    [InlineData("palette.png")]
    [InlineData("gray16.png")]
    [InlineData("animated.png")]
    public void A_PNG_with_a_wrong_checksum_or_byte_is_refused_or_the_same(string name)
    {
        var whole = File.ReadAllBytes(Golden.PathOf($"images/{name}"));
        var expected = RgbImage.Decode(whole).Pixels.ToArray();
        for (var at = 8; at < whole.Length; at += 12 + BinaryPrimitives.ReadInt32BigEndian(whole.AsSpan(at)))
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(whole.AsSpan(at));
            var type = System.Text.Encoding.ASCII.GetString(whole, at + 4, 4);
            foreach (var place in (int[])[at + 8 + length, at + 8 + (length / 2), at + 8])
            {
                // Chunks that are no part of the first picture may say anything.
                if ((place < at + 8 + length && type is not ("IHDR" or "IDAT" or "PLTE")) || place >= whole.Length)
                {
                    continue;
                }

                var damaged = (byte[])whole.Clone();
                damaged[place] ^= 0x55;
                try
                {
                    Assert.True(expected.AsSpan().SequenceEqual(RgbImage.Decode(damaged).Pixels), $"{type}, byte {place}");
                }
                catch (InvalidDataException)
                {
                }
            }
        }
    }

    /// <summary>Headers of files without content, and sizes that are none.</summary>
    public static TheoryData<string, byte[]> Headers() => new()
    {
        { "PNG of no width", Png(0, 5) }, { "PNG of no height", Png(5, 0) }, { "PNG of 2³¹ − 1", Png(int.MaxValue, int.MaxValue) },
        { "PNG of −1", Png(-1, -1) }, { "PNG of 30000", Png(30_000, 30_000) }, { "PNG without rows", Png(8, 8) },
        { "GIF of 65535", Gif(65_535, 65_535) }, { "GIF of 0", Gif(0, 0) }, { "GIF without a picture", Gif(8, 8) },
        { "BMP of 2³¹ − 1", Bmp(int.MaxValue, int.MaxValue, 24, 0) }, { "BMP of −2³¹", Bmp(8, int.MinValue, 24, 0) },
        { "BMP of 0", Bmp(0, 0, 24, 0) }, { "BMP of 30000", Bmp(30_000, 30_000, 24, 0) }, { "BMP without rows", Bmp(64, 64, 24, 0) },
        { "BMP, compressed, without rows", Bmp(64, 64, 8, 1) }, { "BMP of 3 bits", Bmp(8, 8, 3, 0) },
        { "WebP of 16383", Webp(16_383, 16_383) }, { "WebP without a picture", Webp(8, 8) },
        { "WebP of 2²⁴", [.. "RIFF"u8, 22, 0, 0, 0, .. "WEBPVP8X"u8, 10, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255] },
        { "JPEG of 65535", Jpeg(65_535, 65_535) }, { "JPEG of 0", Jpeg(0, 8) }, { "JPEG without a scan", Jpeg(8, 8) },
        { "a marker alone", [0xFF, 0xD8] }, { "zeros", new byte[100] }, { "a signature", [0x89, .. "PNG\r\n"u8, 0x1A, (byte)'\n'] },
        { "RIFF of another kind", [.. "RIFF"u8, 4, 0, 0, 0, .. "WAVE"u8] }, { "text", [.. "<svg width='1e9' height='1e9'/>"u8] },
    };

    [Theory]
    [MemberData(nameof(Headers), DisableDiscoveryEnumeration = true)]
    public void A_header_without_its_picture_is_refused_and_takes_no_memory(string what, byte[] bytes)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Record.Exception(() => RgbImage.Decode(bytes));
        Assert.True(error is InvalidDataException, $"{what}: {error?.ToString() ?? "read"}");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void A_profile_of_any_kind_changes_nothing()
    {
        var whole = File.ReadAllBytes(Golden.PathOf("images/rgb16.png"));
        var expected = RgbImage.Decode(whole).Pixels.ToArray();
        byte[][] profiles =
        [
            [], [0], [.. "x"u8, 0, 0], [.. "x"u8, 0, 7, 1, 2, 3], [.. "x"u8, 0, 0, 0x78, 0x9C, 3, 0, 0, 0, 0, 1], new byte[5000],
            [.. Enumerable.Repeat((byte)'x', 200), 0, 0],
        ];
        foreach (var profile in profiles)
        {
            byte[] file = [.. whole.AsSpan(0, 33), .. Chunk([.. "iCCP"u8, .. profile]), .. whole.AsSpan(33)];
            Assert.True(expected.AsSpan().SequenceEqual(RgbImage.Decode(file).Pixels), $"{profile.Length} bytes");
        }
    }

    [Fact]
    public void What_is_no_file_is_refused_and_not_waited_for()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no pipes among its files.");
        using var folder = new TemporaryFolder();
        var pipe = folder.PathOf("pipe.png");
        using (var made = Process.Start("mkfifo", pipe))
        {
            made.WaitForExit();
        }

        string Link(string name, string target)
        {
            File.CreateSymbolicLink(folder.PathOf(name), target);
            return folder.PathOf(name);
        }

        foreach (var path in (string[])[pipe, Link("a.png", pipe), "/dev/zero", Link("b.png", "/dev/zero"), Link("c.png",
            folder.PathOf("a.png"))])
        {
            Assert.Contains(path, Assert.Throws<InvalidDataException>(() => RgbImage.Load(path)).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidDataException>(() => RgbImage.LoadAlpha(path));
            Assert.Throws<InvalidDataException>(() => RgbImage.ReadPngText(path));
            Assert.ThrowsAny<IOException>(() => new RgbImage(1, 1, new byte[3]).SavePng(path));
            Assert.True(File.Exists(path));
        }

        foreach (var path in (string[])[folder.Path, folder.PathOf("none.png"), Link("d.png", folder.PathOf("none.png"))])
        {
            Assert.Contains(path, Assert.ThrowsAny<IOException>(() => RgbImage.Load(path)).Message, StringComparison.Ordinal);
        }

        var image = Link("e.png", Golden.PathOf("images/exif1.png"));
        Assert.Equal(14, RgbImage.Load(image).Width);
        Assert.Empty(Directory.GetFiles(folder.Path, ".*"));
    }

    private static byte[] Png(int width, int height)
    {
        byte[] header = [.. "IHDR"u8, .. new byte[8], 8, 2, 0, 0, 0];
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(8), height);
        return [0x89, .. "PNG\r\n"u8, 0x1A, (byte)'\n', .. Chunk(header), .. Chunk([.. "IDAT"u8]), .. Chunk([.. "IEND"u8])];
    }

    private static byte[] Chunk(byte[] content)
    {
        var (length, checksum) = (new byte[4], new byte[4]);
        BinaryPrimitives.WriteInt32BigEndian(length, content.Length - 4);
        BinaryPrimitives.WriteUInt32BigEndian(checksum, Crc32.HashToUInt32(content));
        return [.. length, .. content, .. checksum];
    }

    private static byte[] Gif(int width, int height) =>
        [.. "GIF89a"u8, (byte)width, (byte)(width >> 8), (byte)height, (byte)(height >> 8), 0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x3B];

    private static byte[] Bmp(int width, int height, short bits, int compression)
    {
        var bytes = new byte[54 + (4 << Math.Min((int)bits, 8))];
        "BM"u8.CopyTo(bytes);
        foreach (var (at, value) in (ReadOnlySpan<(int, int)>)
            [(2, bytes.Length), (10, bytes.Length), (14, 40), (18, width), (22, height), (26, 1 | (bits << 16)), (30, compression)])
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), value);
        }

        return bytes;
    }

    private static byte[] Webp(int width, int height)
    {
        // A lossless picture's header: its sizes less one in 14 bits each.
        var sizes = (uint)(width - 1) | ((uint)(height - 1) << 14);
        return [.. "RIFF"u8, 18, 0, 0, 0, .. "WEBPVP8L"u8, 5, 0, 0, 0, 0x2F, .. BitConverter.GetBytes(sizes), 0];
    }

    private static byte[] Jpeg(int width, int height) =>
    [
        0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, (byte)(height >> 8), (byte)height, (byte)(width >> 8), (byte)width, 1, 1, 0x11, 0, 0xFF, 0xD9,
    ];
}
