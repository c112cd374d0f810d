using System.Buffers.Binary;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Benchmarks.Attack;

/// <summary>Damaged images: each is refused, or is an image. Half of the PNG files get right checksums again, so that what lies within
/// is reached.</summary>
internal sealed class ImageAttack : IAttack
{
    private const int MaxPixels = 1 << 20;
    private const int Signature = 8;
    private static readonly uint[] CrcTable = [.. Enumerable.Range(0, 256).Select(CrcOf)];
    private readonly TemporaryFolder folder = new();
    private readonly (string Name, byte[] Bytes)[] sources;

    public ImageAttack()
    {
        var (width, height) = (40, 24);
        var pixels = new byte[width * height * 3];
        new Random(1).NextBytes(pixels.AsSpan(0, pixels.Length / 2));
        var image = new RgbImage(width, height, pixels);
        sources =
        [
            ("png", image.EncodePng(new Dictionary<string, string> { ["parameters"] = "a red fox", ["Title"] = "Fuchs äöü" })),
            ("jpeg", image.Encode(ImageFormat.Jpeg, 80)),
            ("webp", image.Encode(ImageFormat.WebP, 80)),
            ("webp", image.Encode(ImageFormat.WebP, 100)),
            ("gif", Convert.FromHexString("47494638396101000100800000000000FFFFFF2C00000000010001000002024401003B")),
            ("bmp", Bitmap(width, height, pixels)),
        ];
    }

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var (name, source) = sources[random.Next(sources.Length)];
        var bytes = name == "png" && random.Next(2) == 0 ? Chunk(source, random) : Mutation.Bytes(source, random);
        Input = $"{name}, {Convert.ToBase64String(bytes)}";
        var path = Path.Combine(folder.Path, $"case.{name}");
        var ending = Ending.Of(
            () =>
            {
                RgbImage image;
                if (index % 10 == 0)
                {
                    File.WriteAllBytes(path, bytes);
                    image = RgbImage.Load(path, MaxPixels);
                }
                else
                {
                    image = RgbImage.Decode(bytes, MaxPixels);
                }

                Ending.Require((long)image.Width * image.Height is > 0 and <= MaxPixels, "The image is larger than is allowed.");
                Ending.Require(image.Pixels.Length == image.Width * image.Height * 3, "The image has another number of pixels.");
                image.ToTensor().Dispose();
                return "read";
            },
            exception => exception is InvalidDataException);
        if (name == "png")
        {
            Ending.Of(() => $"{RgbImage.ReadPngText(bytes).Count}", exception => exception is InvalidDataException);
        }

        return ending;
    }

    public void Dispose() => folder.Dispose();

    /// <summary>Damages one chunk of a PNG file and gives it the right length and checksum.</summary>
    private static byte[] Chunk(byte[] png, Random random)
    {
        var starts = new List<int>();
        for (var at = Signature; at < png.Length; at += 12 + BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at)))
        {
            starts.Add(at);
        }

        var start = starts[random.Next(starts.Count)];
        var length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(start));
        byte[] content = [.. png.AsSpan(start + 4, 4), .. Mutation.Bytes(png.AsSpan(start + 8, length), random)];
        if (random.Next(8) == 0)
        {
            content[random.Next(4)] ^= 0x20;
        }

        var (size, checksum) = (new byte[4], new byte[4]);
        BinaryPrimitives.WriteInt32BigEndian(size, content.Length - 4);
        BinaryPrimitives.WriteUInt32BigEndian(checksum,
            ~content.Aggregate(uint.MaxValue, (crc, value) => CrcTable[(byte)(crc ^ value)] ^ (crc >> 8)));
        return [.. png.AsSpan(0, start), .. size, .. content, .. checksum, .. png.AsSpan(start + 12 + length)];
    }

    private static uint CrcOf(int value)
    {
        var crc = (uint)value;
        for (var bit = 0; bit < 8; bit++)
        {
            crc = (crc & 1) == 0 ? crc >> 1 : 0xEDB88320 ^ (crc >> 1);
        }

        return crc;
    }

    private static byte[] Bitmap(int width, int height, byte[] pixels)
    {
        const int Header = 54;
        var bytes = new byte[Header + pixels.Length];
        "BM"u8.CopyTo(bytes);
        foreach (var (at, value) in (ReadOnlySpan<(int, int)>)
            [(2, bytes.Length), (10, Header), (14, 40), (18, width), (22, height), (26, 1 | (24 << 16)), (34, pixels.Length)])
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), value);
        }

        pixels.CopyTo(bytes, Header);
        return bytes;
    }
}
