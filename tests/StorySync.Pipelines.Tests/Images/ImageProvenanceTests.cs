using System.Buffers.Binary;
using System.Text;
using System.Xml.Linq;
using SkiaSharp;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests.Images;

/// <summary>What files say of an image's origin, found by walking their chunks and segments, not by the library's own readers.</summary>
public class ImageProvenanceTests
{
    private const string Text = "a fox, 漢字 🦊\nNegative prompt: é\nSteps: 2, Seed: 7";

    private static readonly RgbImage Plain = new(3, 2, [.. Enumerable.Range(0, 18).Select(i => (byte)(i * 14))]);
    private static readonly RgbImage Marked = Plain.WithProvenance(new ImageProvenance { Parameters = Text });

    public static TheoryData<ImageFormat> Formats => [.. Enum.GetValues<ImageFormat>()];

    [Fact]
    public void A_PNG_file_has_the_parameters_and_the_source_type_in_international_texts()
    {
        var texts = PngTexts(Marked.EncodePng());
        Assert.Equal(["parameters", "XML:com.adobe.xmp"], texts.Select(text => text.Keyword));
        Assert.Equal(Text, texts[0].Text);
        AssertSourceType(texts[1].Text);
    }

    [Fact]
    public void A_JPEG_file_has_them_in_segments_after_JFIFs()
    {
        var segments = Segments(Marked.Encode(ImageFormat.Jpeg)).TakeWhile(segment => segment.Marker is 0xE0 or 0xE1).ToList();
        Assert.Equal([0xE0, 0xE1, 0xE1], segments.Select(segment => (int)segment.Marker));
        Assert.StartsWith("Exif\0\0MM\0*", Encoding.Latin1.GetString(segments[1].Data));
        Assert.Contains(Convert.ToHexString([.. "UNICODE\0"u8, .. Encoding.BigEndianUnicode.GetBytes(Text)]),
            Convert.ToHexString(segments[1].Data));
        const string Name = "http://ns.adobe.com/xap/1.0/\0";
        Assert.StartsWith(Name, Encoding.Latin1.GetString(segments[2].Data));
        AssertSourceType(Encoding.UTF8.GetString(segments[2].Data.AsSpan(Name.Length)));
    }

    [Theory]
    [InlineData(90, "VP8 ")]
    [InlineData(100, "VP8L")]
    public void A_WebP_file_has_them_in_chunks_of_the_extended_format(int quality, string pixels)
    {
        var file = Marked.Encode(ImageFormat.WebP, quality);
        Assert.Equal(file.Length - 8, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(4)));
        var chunks = new List<(string Name, byte[] Data)>();
        for (var at = 12; at < file.Length;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 4));
            chunks.Add((Encoding.ASCII.GetString(file, at, 4), file[(at + 8)..(at + 8 + length)]));
            at += 8 + length + (length % 2);
        }

        Assert.Equal(["VP8X", pixels, "EXIF", "XMP "], chunks.Select(chunk => chunk.Name));
        Assert.Equal([0x0C, 0, 0, 0, 2, 0, 0, 1, 0, 0], chunks[0].Data);
        Assert.StartsWith("MM\0*", Encoding.Latin1.GetString(chunks[2].Data));
        AssertSourceType(Encoding.UTF8.GetString(chunks[3].Data));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Marks_change_no_pixel_and_no_byte_from_time_to_time(ImageFormat format)
    {
        var file = Marked.Encode(format);
        Assert.Equal(file, Marked.Encode(format));
        using var with = SKBitmap.Decode(file);
        using var without = SKBitmap.Decode(Plain.Encode(format));
        Assert.Equal(without.Pixels, with.Pixels);
        Assert.Equal(RgbImage.Decode(Plain.Encode(format)).Pixels, RgbImage.Decode(file).Pixels);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void What_is_written_is_read_again(ImageFormat format)
    {
        Assert.Equal(Text, RgbImage.ReadParameters(Marked.Encode(format)));
        Assert.Equal(Marked.Provenance, RgbImage.Decode(Marked.Encode(format)).Provenance);
        Assert.Equal(new ImageProvenance(), RgbImage.Decode(Plain.WithProvenance(new()).Encode(format)).Provenance);
        Assert.Null(RgbImage.ReadParameters(Plain.Encode(format)));
        Assert.Null(RgbImage.Decode(Plain.Encode(format)).Provenance);
    }

    [Fact]
    public void An_image_keeps_its_provenance_in_another_size_and_loses_it_on_request()
    {
        Assert.Equal(Text, Marked.Resize(8, 8).Provenance!.Parameters);
        Assert.Equal(Plain.EncodePng(), Marked.WithProvenance(null).EncodePng());
    }

    [Fact]
    public void A_callers_text_replaces_that_of_the_provenance()
    {
        var texts = PngTexts(Marked.EncodePng(new Dictionary<string, string> { ["Title"] = "one", ["parameters"] = "other" }));
        Assert.Equal([("Title", "one"), ("parameters", "other")], texts.Take(2));
        Assert.Equal(3, texts.Count);
    }

    [Fact]
    public void A_text_too_long_for_a_segment_is_cut_between_characters()
    {
        var text = string.Concat(Enumerable.Repeat("🦊", 40_000));
        var image = Plain.WithProvenance(new ImageProvenance { Parameters = "x" + text });
        Assert.Equal("x" + text[..31_998], RgbImage.ReadParameters(image.Encode(ImageFormat.Jpeg)));
        Assert.Equal("x" + text, RgbImage.ReadParameters(image.Encode(ImageFormat.WebP)));
        Assert.Equal("x" + text, RgbImage.ReadParameters(image.EncodePng()));
    }

    [Fact]
    public void Parameters_of_other_tools_are_read()
    {
        byte[] latin = [.. "tEXt"u8, .. "parameters\0caf"u8, 0xE9];
        var png = Plain.EncodePng();
        Assert.Equal("café", RgbImage.ReadParameters([.. png[..33], 0, 0, 0, 15, .. latin, 0, 0, 0, 0, .. png[33..]]));

        // Little-endian, the comment in ASCII, as cameras write it.
        byte[] exif =
        [
            .. "Exif\0\0II*\0"u8, 8, 0, 0, 0, 1, 0, 0x69, 0x87, 4, 0, 1, 0, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 0x86, 0x92, 7, 0, 11, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, .. "ASCII\0\0\0fox"u8,
        ];
        var jpeg = Plain.Encode(ImageFormat.Jpeg);
        Assert.Equal("fox", RgbImage.ReadParameters([.. jpeg[..2], 0xFF, 0xE1, 0, (byte)(exif.Length + 2), .. exif, .. jpeg[2..]]));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void No_damage_to_marks_ends_in_an_exception_of_another_kind(ImageFormat format)
    {
        var file = Marked.Encode(format);
        for (var length = 0; length < file.Length; length++)
        {
            _ = RgbImage.ReadParameters(file.AsSpan(0, length));
        }

        for (var at = 0; at < Math.Min(file.Length, 1200); at++)
        {
            foreach (var value in (byte[])[0, 0x7F, 0xFF])
            {
                byte[] damaged = [.. file];
                damaged[at] = value;
                _ = RgbImage.ReadParameters(damaged);
            }
        }
    }

    [Fact]
    public void Images_of_a_pipeline_are_marked_with_what_they_were_generated_with()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        using var result = pipeline.Generate(new GenerationRequest
        {
            Prompts = ["a red fox", "a cat"], NegativePrompts = ["", "a frog"], Steps = 1, Seed = 5, GuidanceScale = 3.5,
        });
        Assert.StartsWith(
            "a cat\nNegative prompt: a frog\nSteps: 1, Sampler: EulerDiscreteScheduler, CFG scale: 3.5, Seed: 6, Size: 128x128, "
                + "Model: storybook, Dtype: float32, Device: cpu, Version: StorySync ",
            result.Images[1].Provenance!.Parameters);
        AssertSourceType(PngTexts(result.Images[0].EncodePng())[^1].Text);
    }

    [Fact]
    public void One_switch_turns_marks_off()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu", MarksImages = false });
        using var result = pipeline.Generate(new GenerationRequest { Prompts = ["a red fox"], Steps = 1, Seed = 5 });
        Assert.Null(result.Images[0].Provenance);
        Assert.Empty(PngTexts(result.Images[0].EncodePng()));
    }

    [Fact]
    public void Scenes_say_what_story_they_are_of_and_anchors_too()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        var story = new Story { Subjects = ["a red fox"], Scenes = [new("a red fox in the snow"), new("a red fox at the beach")] };
        using var result = pipeline.GenerateStory(story, new StoryOptions { Anchors = 1, Request = new() { Steps = 1, Seed = 5 } });

        Assert.All(result.Scenes, scene => Assert.Matches(
            $"^{scene.Prompt}\nSteps: 1, .*, Seed: {scene.Seed}, .*, Subjects: a red fox, Sharing: .*, Anchors: 1, Version: ",
            scene.Image.Provenance!.Parameters));
        Assert.All(result.Bank!.Portraits, portrait => Assert.NotNull(portrait.Provenance));
    }

    [Fact]
    public void A_picture_that_was_given_is_not_marked()
    {
        using var pipeline = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        var picture = new RgbImage(128, 128, new byte[128 * 128 * 3]);
        var story = new Story
        {
            Subjects = ["a red fox"],
            Scenes = [new("a red fox") { Image = picture }, new("a red fox at the beach")],
        };
        using var result = pipeline.GenerateStory(story, new StoryOptions { Anchors = 1, Request = new() { Steps = 1, Seed = 5 } });
        Assert.Null(result.Scenes[0].Image.Provenance);
        Assert.NotNull(result.Scenes[1].Image.Provenance);
    }

    private static void AssertSourceType(string packet)
    {
        Assert.StartsWith("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>", packet);
        Assert.EndsWith("<?xpacket end=\"w\"?>", packet);
        XNamespace rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", iptc = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
        var (from, to) = (packet.IndexOf("<x:", StringComparison.Ordinal), packet.LastIndexOf("<?", StringComparison.Ordinal));
        var description = XElement.Parse(packet[from..to]).Descendants(rdf + "Description").Single();
        Assert.Equal(
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
            description.Attribute(iptc + "DigitalSourceType")?.Value);
    }

    private static List<(string Keyword, string Text)> PngTexts(byte[] file)
    {
        var texts = new List<(string, string)>();
        for (var at = 8; at < file.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            if (file.AsSpan(at + 4, 4).SequenceEqual("iTXt"u8))
            {
                var data = file.AsSpan(at + 8, length);
                var end = data.IndexOf((byte)0);
                Assert.Equal("\0\0\0\0\0", Encoding.Latin1.GetString(data.Slice(end, 5)));
                texts.Add((Encoding.Latin1.GetString(data[..end]), Encoding.UTF8.GetString(data[(end + 5)..])));
            }

            at += 12 + length;
        }

        return texts;
    }

    private static IEnumerable<(byte Marker, byte[] Data)> Segments(byte[] file)
    {
        for (var at = 2; file[at + 1] != 0xDA;)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(file.AsSpan(at + 2));
            yield return (file[at + 1], file[(at + 4)..(at + 2 + length)]);
            at += 2 + length;
        }
    }
}
