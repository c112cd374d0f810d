using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace StorySync.Pipelines.Tests.Images;

public class PngTextTests
{
    private static readonly RgbImage Image = new(1, 1, [1, 2, 3]);

    [Theory]
    [InlineData("")]
    [InlineData(" parameters")]
    [InlineData("parameters ")]
    [InlineData("two  spaces")]
    [InlineData("a\nb")]
    [InlineData("a\0b")]
    [InlineData("a\u007fb")]
    [InlineData("a\u00a0b")]
    [InlineData("漢")]
    [InlineData("12345678901234567890123456789012345678901234567890123456789012345678901234567890")]
    public void A_keyword_that_the_specification_forbids_is_refused(string keyword)
    {
        var error = Assert.Throws<ArgumentException>(() => Image.EncodePng(new Dictionary<string, string> { [keyword] = "x" }));
        Assert.Contains("no PNG keyword", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("parameters")]
    [InlineData("Creation Time")]
    [InlineData("é")]
    public void Other_keywords_are_written(string keyword) =>
        Assert.Equal("x\n漢", RgbImage.ReadPngText(Image.EncodePng(new Dictionary<string, string> { [keyword] = "x\n漢" }))[keyword]);

    [Fact]
    public void Every_kind_of_text_is_read()
    {
        var png = Image.EncodePng();
        byte[] file =
        [
            .. png[..33],
            .. Chunk("tEXt"u8, [.. "plain\0caf"u8, 0xE9]),
            .. Chunk("zTXt"u8, [.. "deflated\0\0"u8, .. Deflate("long"u8)]),
            .. Chunk("iTXt"u8, [.. "international\0\u0001\0en\0name\0"u8, .. Deflate("漢"u8)]),
            .. png[33..],
        ];
        var texts = RgbImage.ReadPngText(file);

        Assert.Equal("café", texts["plain"]);
        Assert.Equal("long", texts["deflated"]);
        Assert.Equal("漢", texts["international"]);
    }

    [Fact]
    public void What_is_no_whole_PNG_file_is_refused()
    {
        Assert.Contains("no PNG", Error("GIF89a"u8.ToArray()), StringComparison.Ordinal);
        var png = Image.EncodePng(new Dictionary<string, string> { ["parameters"] = "fox" });
        for (var length = 8; length < png.Length - 12; length++)
        {
            Assert.Contains("truncated", Error(png[..length]), StringComparison.Ordinal);
        }

        Assert.Contains("damaged", Error([.. png[..33], .. Chunk("zTXt"u8, "a\0\0no deflate"u8.ToArray()), .. png[33..]]),
            StringComparison.Ordinal);
        Assert.Contains("damaged", Error([.. png[..33], .. Chunk("iTXt"u8, "a"u8.ToArray()), .. png[33..]]), StringComparison.Ordinal);

        static string Error(byte[] file) => Assert.Throws<InvalidDataException>(() => RgbImage.ReadPngText(file)).Message;
    }

    private static byte[] Chunk(ReadOnlySpan<byte> type, byte[] data)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, data.Length);
        return [.. length, .. type, .. data, 0, 0, 0, 0];
    }

    private static byte[] Deflate(ReadOnlySpan<byte> data)
    {
        using var buffer = new MemoryStream();
        using (var stream = new ZLibStream(buffer, CompressionMode.Compress))
        {
            stream.Write(data);
        }

        return buffer.ToArray();
    }
}
