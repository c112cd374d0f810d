using System.Buffers.Binary;
using System.Text;
using CsCheck;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class GgufFileTests
{
    private static string Single(string name) => Path.Combine(ReferenceData.OwnRoot, "single", name);

    public static TheoryData<string, byte[], string> Malformed()
    {
        var data = new TheoryData<string, byte[], string>();
        data.Add("version 1", Bytes(version: 1), "version is 1");
        data.Add("other order of bytes", Bytes(version: 0x03000000), "version is");
        data.Add("many tensors", Bytes(tensors: 1 << 30), "expected at most 1000000");
        data.Add("fewer tensors than it says", Bytes(tensors: 2), "truncated");
        data.Add("unknown type", Bytes(type: 99), "is of the type 99");
        data.Add("type that is not read", Bytes(type: 16), "IQ2_XXS");
        data.Add("no whole blocks", Bytes(type: 8), "multiple of 32");
        data.Add("five axes", Bytes(shape: [1, 1, 1, 1, 4]), "5 axes");
        data.Add("too large", Bytes(shape: [1L << 40, 1L << 40]), "no valid GGUF file");
        data.Add("negative size", Bytes(shape: [-4]), "no valid GGUF file");
        data.Add("past the end", Bytes(shape: [400]), "truncated");
        data.Add("offset past the end", Bytes(offset: 1 << 20), "truncated");
        data.Add("offset beyond 64 bits", Bytes(offset: -32), "no valid GGUF file");
        data.Add("offset between", Bytes(offset: 4), "multiple of 32");
        data.Add("alignment 0", Bytes(entry: Entry("general.alignment", 4, BitConverter.GetBytes(0))), "'general.alignment' is 0");
        data.Add("alignment 48", Bytes(entry: Entry("general.alignment", 4, BitConverter.GetBytes(48))), "'general.alignment' is 48");
        data.Add("value of no type", Bytes(entry: Entry("a", 13, [])), "type 13");
        data.Add("long text", Bytes(entry: Entry("a", 8, BitConverter.GetBytes(1L << 60))), "no room");
        data.Add("long list", Bytes(entry: Entry("a", 9, [.. BitConverter.GetBytes(0), .. BitConverter.GetBytes(1L << 60)])), "truncated");
        data.Add("long list of words", Bytes(entry: Entry("a", 9, [.. BitConverter.GetBytes(4), .. BitConverter.GetBytes(1L << 62)])),
            "no valid");
        data.Add("long list of texts", Bytes(entry: Entry("a", 9, [.. BitConverter.GetBytes(8), .. BitConverter.GetBytes(1L << 60)])), "");
        data.Add("lists in lists", Bytes(entry: Entry("a", 9, [.. Enumerable.Repeat(
            (byte[])[.. BitConverter.GetBytes(9), .. BitConverter.GetBytes(1L)], 9).SelectMany(list => list)])), "lists in lists");
        data.Add("no UTF-8", Bytes(name: [0xff]), "UTF-8");
        data.Add("its beginning alone", "GGUF"u8.ToArray(), "truncated");
        return data;
    }

    [Theory]
    [MemberData(nameof(Malformed))]
    public void A_file_that_breaks_a_rule_is_refused(string name, byte[] content, string said)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.gguf", content);
        var error = Assert.Throws<ModelFileException>(() => GgufFile.Open(path));
        Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{name}: {error.Message}");
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_by_hand_is_read()
    {
        using var folder = new TemporaryFolder();
        using var file = GgufFile.Open(folder.Write("x.gguf", Bytes(
            entry: Entry("general.architecture", 8, [.. BitConverter.GetBytes(4L), .. "flux"u8]))));
        using var values = file.Read("x");
        Assert.Equal("flux", file.Metadata["general.architecture"]);
        Assert.Equal([1f, 2, 3, 4], values.data<float>().ToArray());
        Assert.True(file.IsView("x"));
        Assert.Throws<KeyNotFoundException>(() => file.Read("y"));
    }

    [Fact]
    public void Two_tensors_in_one_place_or_of_one_name_are_refused()
    {
        using var folder = new TemporaryFolder();
        foreach (var (name, offset, said) in new[] { ("y", 0L, "overlap"), ("x", 32L, "two tensors 'x'") })
        {
            var path = folder.Write("x.gguf", Bytes(tensors: 2, second: (name, offset)));
            Assert.Contains(said, Assert.Throws<ModelFileException>(() => GgufFile.Open(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_axes_are_in_PyTorch_s_order()
    {
        using var folder = new TemporaryFolder();
        using var file = GgufFile.Open(folder.Write("x.gguf", Bytes(shape: [4, 1])));
        Assert.Equal([1L, 4], file.Tensors["x"].Shape);
    }

    [Fact]
    public void A_file_of_the_wrong_format_says_so_where_safetensors_were_expected()
    {
        var error = Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(Single("flux.gguf")));
        Assert.Contains("DiffusionPipeline.Load", error.Message, StringComparison.Ordinal);
        Assert.Throws<ModelFileException>(() => GgufFile.Open(Single("none.gguf")));
        Assert.Throws<ModelFileException>(() => WeightFile.Open(Single("none.gguf")));
    }

    /// <summary>Whatever bytes are changed, a file is read or refused in words.</summary>
    [Fact]
    public void A_mutated_file_is_read_or_refused_and_never_crashes()
    {
        using var folder = new TemporaryFolder();
        var original = File.ReadAllBytes(Single("flux.gguf"));
        var path = folder.PathOf("x.gguf");
        const int HeaderLength = 6000;
        var change = Gen.Select(Gen.Int[4, HeaderLength], Gen.Byte, Gen.Int[0, 7]);
        Gen.Select(change.Array[1, 4], Gen.Int[0, original.Length], Gen.Bool).Sample(
            (changes, length, cuts) =>
            {
                var bytes = original.ToArray();
                foreach (var (at, value, run) in changes)
                {
                    bytes.AsSpan(at, run).Fill(value);
                }

                File.WriteAllBytes(path, cuts ? bytes[..length] : bytes);
                using var scope = NewDisposeScope();
                try
                {
                    using var file = GgufFile.Open(path, maps: false);
                    foreach (var name in file.Tensors.Keys)
                    {
                        file.Read(name);
                    }
                }
                catch (ModelFileException exception)
                {
                    Assert.StartsWith(path, exception.Message, StringComparison.Ordinal);
                }
            },
            iter: 300, threads: 1);
    }

    private static byte[] Text(ReadOnlySpan<byte> text) => [.. BitConverter.GetBytes((long)text.Length), .. text];

    private static byte[] Entry(string key, int type, byte[] value) =>
        [.. Text(Encoding.UTF8.GetBytes(key)), .. BitConverter.GetBytes(type), .. value];

    /// <summary>A file with one tensor of float32, 1, 2, 3, 4, and of what is asked for.</summary>
    private static byte[] Bytes(
        int version = 3, long tensors = 1, byte[]? entry = null, byte[]? name = null, long[]? shape = null, int type = 0, long offset = 0,
            (string Name, long Offset)? second = null)
    {
        shape ??= [4];
        List<byte> file =
        [
            .. "GGUF"u8, .. BitConverter.GetBytes(version), .. BitConverter.GetBytes(tensors),
            .. BitConverter.GetBytes(entry is null ? 0L : 1L),
            .. entry ?? [], .. Text(name ?? "x"u8.ToArray()), .. BitConverter.GetBytes(shape.Length),
            .. shape.SelectMany(BitConverter.GetBytes), .. BitConverter.GetBytes(type), .. BitConverter.GetBytes(offset),
        ];
        if (second is { } other)
        {
            file.AddRange([.. Text(Encoding.UTF8.GetBytes(other.Name)), .. BitConverter.GetBytes(1), .. BitConverter.GetBytes(4L),
                .. BitConverter.GetBytes(0), .. BitConverter.GetBytes(other.Offset)]);
        }

        if (tensors == 1 || second is not null)
        {
            file.AddRange(new byte[(32 - (file.Count % 32)) % 32]);
            foreach (var value in (float[])[1, 2, 3, 4])
            {
                var bytes = new byte[4];
                BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
                file.AddRange(bytes);
            }

            file.AddRange(new byte[second is null ? 0 : 32]);
        }

        return [.. file];
    }
}
