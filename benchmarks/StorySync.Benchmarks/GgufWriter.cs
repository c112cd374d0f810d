using System.Buffers.Binary;
using System.Text;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>Writes models of full size as GGUF files of random weights, or of none: holes take no room on the disk, and once read as much
/// memory as weights.</summary>
/// <param name="format">The format of the matrices: a name of <see cref="Formats"/>. Other tensors are float32.</param>
/// <param name="random">Whether to fill matrices with random blocks, or to leave holes.</param>
internal sealed class GgufWriter(string format, bool random)
{
    private const int Alignment = 32;

    /// <summary>The code of a format, and values and bytes of a block.</summary>
    private static readonly Dictionary<string, (uint Code, int Values, int Bytes, int[] Scales)> Known = new()
    {
        ["F32"] = (0, 1, 4, []), ["F16"] = (1, 1, 2, []), ["Q4_0"] = (2, 32, 18, [0]), ["Q8_0"] = (8, 32, 34, [0]),
        ["Q4_K"] = (12, 256, 144, [0, 2]), ["Q5_K"] = (13, 256, 176, [0, 2]), ["Q6_K"] = (14, 256, 210, [208]),
    };

    /// <summary>Gets the formats that are written.</summary>
    public static string[] Formats => [.. Known.Keys];

    /// <summary>Writes a model.</summary>
    /// <param name="model">The model, on the meta device.</param>
    /// <param name="path">The file.</param>
    public void Write(nn.Module model, string path)
    {
        var offset = 0L;
        var header = new MemoryStream();
        using var writer = new BinaryWriter(header);
        var shapes = CheckpointShapes.Of(model).Shapes;
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)shapes.Count);
        writer.Write(0UL);
        var places = new List<(long Offset, long Bytes, string Format)>();
        foreach (var (name, shape) in shapes)
        {
            var own = FormatOf(shape);
            var (code, values, bytes, _) = Known[own];
            var size = shape.Aggregate(1L, (product, length) => product * length) / values * bytes;
            writer.Write((ulong)Encoding.UTF8.GetByteCount(name));
            writer.Write(Encoding.UTF8.GetBytes(name));
            writer.Write((uint)shape.Count);
            foreach (var length in shape.Reverse())
            {
                writer.Write((ulong)length);
            }

            writer.Write(code);
            writer.Write((ulong)offset);
            places.Add((offset, size, own));
            offset += (size + Alignment - 1) / Alignment * Alignment;
        }

        using var file = new FileStream(path, FileMode.Create);
        var start = (header.Length + Alignment - 1) / Alignment * Alignment;
        header.WriteTo(file);
        file.SetLength(start + offset);
        foreach (var place in places.Where(_ => random))
        {
            file.Position = start + place.Offset;
            Fill(file, place.Bytes, place.Format);
        }
    }

    private string FormatOf(IReadOnlyList<long> shape) =>
        shape.Count > 1 && shape[^1] % Known[format].Values == 0 ? format : "F32";

    /// <summary>Writes blocks of random bits, whose scales are small.</summary>
    private static void Fill(FileStream file, long bytes, string format)
    {
        var (_, _, size, scales) = Known[format];
        var random = new Random(1);
        var piece = new byte[Math.Min(bytes, (1 << 20) / size * size)];
        for (var left = bytes; left > 0; left -= piece.Length)
        {
            piece = left < piece.Length ? piece[..(int)left] : piece;
            FillPiece(piece, size, scales, format, random);
            file.Write(piece);
        }
    }

    private static void FillPiece(byte[] piece, int size, int[] scales, string format, Random random)
    {
        if (format is "F32" or "F16")
        {
            for (var at = 0; at < piece.Length; at += size)
            {
                var value = random.NextSingle() * 0.04f - 0.02f;
                if (size == sizeof(float))
                {
                    BinaryPrimitives.WriteSingleLittleEndian(piece.AsSpan(at), value);
                }
                else
                {
                    BinaryPrimitives.WriteHalfLittleEndian(piece.AsSpan(at), (Half)value);
                }
            }

            return;
        }

        random.NextBytes(piece);
        for (var at = 0; at < piece.Length; at += size)
        {
            foreach (var scale in scales)
            {
                BinaryPrimitives.WriteHalfLittleEndian(piece.AsSpan(at + scale), (Half)(0.0001f + random.NextSingle() * 0.0004f));
            }
        }
    }
}
