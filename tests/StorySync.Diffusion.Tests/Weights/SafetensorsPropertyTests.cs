using CsCheck;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class SafetensorsPropertyTests
{
    private static readonly ScalarType[] Types =
    [
        ScalarType.Bool, ScalarType.Byte, ScalarType.Int8, ScalarType.Int16, ScalarType.Int32, ScalarType.Int64,
        ScalarType.Float16, ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float64,
    ];

    private static readonly Gen<string> Text =
        Gen.OneOf(Gen.Char['\0', '\ud7ff'].Select(c => c.ToString()), Gen.Char[' ', '~'].Select(c => c.ToString()),
        Gen.OneOf("😀", "\uffee", "\"", "\\", "weight", ".", "\n", "\u007f")).Array[0, 8].Select(string.Concat);

    private static readonly Gen<(string Name, ScalarType Type, long[] Shape, int Seed)> Entry =
        Gen.Select(Text, Gen.OneOf(Types), Gen.Long[0, 4].Array[0, 4], Gen.Int[0, 1000]);

    private static readonly Gen<Dictionary<string, (ScalarType Type, long[] Shape, int Seed)>> Entries = Entry.Array[0, 12]
        .Select(list =>
            list.Where(e => e.Name != "__metadata__").DistinctBy(e => e.Name).ToDictionary(e => e.Name, e => (e.Type, e.Shape, e.Seed)));

    private static readonly Gen<Dictionary<string, string>?> Metadata = Gen.Select(Text, Text).Array[0, 3]
        .Select(list => list.Length == 0 ? null : list.DistinctBy(e => e.Item1).ToDictionary(e => e.Item1, e => e.Item2));

    [Fact]
    public void What_is_written_is_read_again()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        Gen.Select(Entries, Metadata).Sample(
            (entries, metadata) =>
            {
                using var scope = NewDisposeScope();
                var tensors = entries.ToDictionary(e => e.Key, e => Make(e.Value));
                SafetensorsWriter.Write(path, tensors, metadata);
                using var file = SafetensorsFile.Open(path);
                Assert.Equal(tensors.Keys.Order(), file.Tensors.Keys.Order());
                Assert.Equal(metadata ?? [], file.Metadata);
                foreach (var (name, expected) in tensors)
                {
                    var actual = file.Read(name);
                    Assert.Equal(expected.dtype, actual.dtype);
                    Assert.Equal(expected.shape, actual.shape);
                    Assert.Equal(Bytes(expected), Bytes(actual));
                }
            },
            iter: 300, threads: 1);
    }

    [Fact]
    public void A_mutated_file_is_read_or_refused_and_never_crashes()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        var change = Gen.Select(Gen.Int[0, 1 << 20], Gen.Byte, Gen.Int[0, 3]);
        var refused = 0;
        using (NewDisposeScope())
        {
            SafetensorsWriter.Write(path, Types.ToDictionary(type => type.ToString(), type => ones([2, 3], type)));
        }

        var original = File.ReadAllBytes(path);
        change.Array[1, 4].Sample(
            changes =>
            {
                using var scope = NewDisposeScope();
                File.WriteAllBytes(path, changes.Aggregate(original, Mutate));
                try
                {
                    using var file = SafetensorsFile.Open(path);
                    foreach (var info in file.Tensors.Values.Where(info => info.Dtype.ToScalarType() is not null))
                    {
                        Bytes(file.Read(info.Name));
                    }
                }
                catch (ModelFileException)
                {
                    refused++;
                }
            },
            iter: 1000, threads: 1);
        Assert.True(refused > 50);
    }

    [Fact]
    public void A_mutated_header_gives_a_FormatException_or_is_right()
    {
        var header = """{"__metadata__":{"format":"pt"},"a\u00e9":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"I8","shape":[],"data_offsets":[24,25]}}"""u8.ToArray();
        var tokens = Gen.OneOf("\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-1", "1e99", "9223372036854775807", "null", "\\ud800", "F32",
            "\"b\"", " ")
            .Select(token => System.Text.Encoding.ASCII.GetBytes(token));
        Gen.Select(tokens, Gen.Int[0, header.Length - 1], Gen.Int[0, 5]).Array[1, 3].Sample(
            changes =>
            {
                var bytes = changes.Aggregate(header, (json, change) =>
                    [.. json.AsSpan(0, Math.Min(change.Item2, json.Length)), .. change.Item1,
                        .. json.AsSpan(Math.Min(change.Item2 + change.Item3, json.Length))]);
                try
                {
                    var parsed = SafetensorsHeader.Parse(bytes);
                    Assert.Equal(parsed.Tensors.Sum(info => info.ByteCount), parsed.DataLength);
                }
                catch (FormatException)
                {
                }
            },
            iter: 5000, threads: 1);
    }

    private static byte[] Mutate(byte[] bytes, (int At, byte Value, int Kind) change)
    {
        var at = bytes.Length == 0 ? 0 : change.At % bytes.Length;
        return change.Kind switch
        {
            0 => bytes[..at],
            1 => [.. bytes, change.Value],
            _ => bytes.Length == 0 ? bytes : [.. bytes[..at], change.Value, .. bytes[(at + 1)..]],
        };
    }

    private static Tensor Make((ScalarType Type, long[] Shape, int Seed) entry)
    {
        var tensor = empty(entry.Shape, entry.Type);
        var random = new Random(entry.Seed);
        if (entry.Type == ScalarType.Bool)
        {
            return tensor.fill_(random.Next(2));
        }

        if (tensor.NumberOfElements > 0)
        {
            random.NextBytes(tensor.bytes);
        }

        return tensor;
    }

    private static byte[] Bytes(Tensor tensor) => tensor.NumberOfElements == 0 ? [] : tensor.bytes.ToArray();
}
