using System.Text;
using StorySync.Kernels;
using TorchSharp;

namespace StorySync.Diffusion.Weights;

/// <summary>The header of a GGUF file of version 2 or 3, checked before anything is taken from it.</summary>
/// <param name="Tensors">What the file holds.</param>
/// <param name="Metadata">Those of its entries that are texts.</param>
internal sealed record GgufHeader(IReadOnlyList<StoredTensor> Tensors, IReadOnlyDictionary<string, string> Metadata)
{
    private const long DefaultAlignment = 32;

    // What a damaged header can make this library keep in memory.
    private const long MostEntries = 1_000_000, LongestName = 1 << 16, LongestText = 100_000_000, DeepestArray = 4, MostAxes = 4;

    private static readonly Dictionary<uint, (string Name, SafetensorsDtype? Dtype)> Types = new()
    {
        [0] = ("F32", SafetensorsDtype.F32), [1] = ("F16", SafetensorsDtype.F16), [2] = ("Q4_0", null), [3] = ("Q4_1", null),
        [6] = ("Q5_0", null), [7] = ("Q5_1", null), [8] = ("Q8_0", null), [9] = ("Q8_1", null), [10] = ("Q2_K", null),
        [11] = ("Q3_K", null), [12] = ("Q4_K", null), [13] = ("Q5_K", null), [14] = ("Q6_K", null), [15] = ("Q8_K", null),
        [16] = ("IQ2_XXS", null), [17] = ("IQ2_XS", null), [18] = ("IQ3_XXS", null), [19] = ("IQ1_S", null), [20] = ("IQ4_NL", null),
        [21] = ("IQ3_S", null), [22] = ("IQ2_S", null), [23] = ("IQ4_XS", null), [24] = ("I8", SafetensorsDtype.I8),
        [25] = ("I16", SafetensorsDtype.I16), [26] = ("I32", SafetensorsDtype.I32), [27] = ("I64", SafetensorsDtype.I64),
        [28] = ("F64", SafetensorsDtype.F64), [29] = ("IQ1_M", null), [30] = ("BF16", SafetensorsDtype.BF16),
    };

    // The sizes of the header's values by their type: numbers and truth values; 8 is a text, 9 a list.
    private static readonly int[] ValueSizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

    /// <exception cref="FormatException">The header breaks a rule of the format, or has a tensor of a type that is not read.</exception>
    /// <exception cref="EndOfStreamException">The file ends within the header.</exception>
    /// <exception cref="OverflowException">A tensor would take more than 2⁶³ bytes.</exception>
    public static GgufHeader Read(Stream stream)
    {
        using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
        reader.ReadUInt32();
        var version = reader.ReadUInt32();
        if (version is not (2 or 3))
        {
            throw new FormatException($"its version is {version}; expected 2 or 3, in the order of bytes of x86 and ARM");
        }

        var (tensorCount, entryCount) = (reader.ReadUInt64(), reader.ReadUInt64());
        if (tensorCount > MostEntries || entryCount > MostEntries)
        {
            throw new FormatException($"it has {tensorCount} tensors and {entryCount} entries; expected at most {MostEntries} of each");
        }

        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var alignment = DefaultAlignment;
        for (var i = 0UL; i < entryCount; i++)
        {
            var key = ReadText(reader, LongestName);
            var type = reader.ReadUInt32();
            if (key == "general.alignment" && type == 4)
            {
                alignment = reader.ReadUInt32();
            }
            else if (type == 8)
            {
                metadata[key] = ReadText(reader, LongestText);
            }
            else
            {
                Skip(reader, type, depth: 0);
            }
        }

        if (alignment is < 8 or > 1 << 20 || !long.IsPow2(alignment))
        {
            throw new FormatException($"'general.alignment' is {alignment}; it must be a power of two from 8 to {1 << 20}");
        }

        var tensors = new List<StoredTensor>();
        for (var i = 0UL; i < tensorCount; i++)
        {
            tensors.Add(ReadTensor(reader));
        }

        var start = (stream.Position + alignment - 1) / alignment * alignment;
        tensors = [.. tensors.Select(tensor => tensor with { Offset = checked(start + tensor.Offset) })];
        Check(tensors, start, alignment, stream.Length);
        return new(tensors, metadata);
    }

    private static StoredTensor ReadTensor(BinaryReader reader)
    {
        var name = ReadText(reader, LongestName);
        var axes = reader.ReadUInt32();
        if (axes > MostAxes)
        {
            throw new FormatException($"tensor '{name}' has {axes} axes; expected at most {MostAxes}");
        }

        // The first is the one whose values follow each other.
        var shape = new long[axes];
        for (var axis = (int)axes - 1; axis >= 0; axis--)
        {
            shape[axis] = checked((long)reader.ReadUInt64());
        }

        var code = reader.ReadUInt32();
        var offset = checked((long)reader.ReadUInt64());
        var (typeName, dtype) = Types.GetValueOrDefault(code, ($"{code}", null));
        var format = BlockFormat.Find(typeName);
        if (dtype is null && format is null)
        {
            throw new FormatException($"tensor '{name}' is of the type {typeName}, which is not read; expected F32, F16, BF16, Q8_0, Q5_0, "
                + "Q5_1, Q4_0, Q4_1 or Q2_K to Q6_K: take the file in one of these");
        }

        if (format is not null && (axes == 0 || shape[^1] % format.Values != 0))
        {
            throw new FormatException($"tensor '{name}' {ShapeText.Of(shape)} is of the type {typeName}, "
                + $"so its last axis must be a multiple of {format.Values}");
        }

        var info = new TensorInfo(name, dtype ?? SafetensorsDtype.F32, shape);
        var bytes = format is null ? info.ByteCount : checked(info.ByteCount / sizeof(float) / format.Values * format.Bytes);
        return new(info with { ByteCount = bytes }, offset, dtype?.ToScalarType(), format);
    }

    private static void Check(List<StoredTensor> tensors, long start, long alignment, long length)
    {
        var end = start;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var tensor in tensors.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Info.ByteCount))
        {
            var name = tensor.Info.Name;
            if (!names.Add(name))
            {
                throw new FormatException($"there are two tensors '{name}'");
            }

            if ((tensor.Offset - start) % alignment != 0 || tensor.Offset < end)
            {
                throw new FormatException($"the data of tensor '{name}' begins at {tensor.Offset}, but what precedes it ends at {end}: "
                    + $"tensors must not overlap and begin at a multiple of {alignment}");
            }

            end = checked(tensor.Offset + tensor.Info.ByteCount);
            if (end > length)
            {
                throw new FormatException(
                    $"the file is truncated: tensor '{name}' ends at {end}, the file at {length}; download it again");
            }
        }
    }

    private static string ReadText(BinaryReader reader, long longest)
    {
        var length = reader.ReadUInt64();
        if (length > (ulong)Math.Min(longest, reader.BaseStream.Length - reader.BaseStream.Position))
        {
            throw new FormatException($"it holds a text of {length} bytes where there is no room for it");
        }

        var bytes = reader.ReadBytes((int)length);
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException exception)
        {
            throw new FormatException("it holds a text that is not UTF-8", exception);
        }
    }

    private static void Skip(BinaryReader reader, uint type, int depth)
    {
        if (type == 8)
        {
            ReadText(reader, LongestText);
        }
        else if (type == 9)
        {
            SkipList(reader, depth);
        }
        else if (type < ValueSizes.Length)
        {
            Skip(reader, (ulong)ValueSizes[type]);
        }
        else
        {
            throw new FormatException($"it has a value of the type {type}, which the format does not know");
        }
    }

    private static void SkipList(BinaryReader reader, int depth)
    {
        var (type, count) = (reader.ReadUInt32(), reader.ReadUInt64());
        if (depth >= DeepestArray)
        {
            throw new FormatException($"it holds lists in lists, deeper than {DeepestArray}");
        }

        if (type < ValueSizes.Length && ValueSizes[type] is > 0 and var size)
        {
            Skip(reader, checked(count * (ulong)size));
            return;
        }

        for (var i = 0UL; i < count; i++)
        {
            Skip(reader, type, depth + 1);
        }
    }

    private static void Skip(BinaryReader reader, ulong bytes)
    {
        if (bytes > (ulong)(reader.BaseStream.Length - reader.BaseStream.Position))
        {
            throw new EndOfStreamException();
        }

        reader.BaseStream.Seek((long)bytes, SeekOrigin.Current);
    }
}
