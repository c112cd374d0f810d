using System.Globalization;
using System.Text;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class SafetensorsFileTests
{
    [Theory]
    [InlineData("BOOL", ScalarType.Bool, new byte[] { 1, 0 }, new double[] { 1, 0 })]
    [InlineData("U8", ScalarType.Byte, new byte[] { 255, 1 }, new double[] { 255, 1 })]
    [InlineData("I8", ScalarType.Int8, new byte[] { 255, 1 }, new double[] { -1, 1 })]
    [InlineData("I16", ScalarType.Int16, new byte[] { 254, 255, 0, 1 }, new double[] { -2, 256 })]
    [InlineData("I32", ScalarType.Int32, new byte[] { 254, 255, 255, 255, 0, 1, 0, 0 }, new double[] { -2, 256 })]
    [InlineData("I64", ScalarType.Int64, new byte[] { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0 }, new double[] { 1, 4294967296 })]
    [InlineData("F16", ScalarType.Float16, new byte[] { 0, 0x3c, 0, 0xc4 }, new double[] { 1, -4 })]
    [InlineData("BF16", ScalarType.BFloat16, new byte[] { 0x80, 0x3f, 0x80, 0xc0 }, new double[] { 1, -4 })]
    [InlineData("F32", ScalarType.Float32, new byte[] { 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0xc0 }, new double[] { 1, -4 })]
    [InlineData("F64", ScalarType.Float64, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0x10, 0xc0 },
        new double[] { 1, -4 })]
    public void Each_type_is_read(string dtype, ScalarType type, byte[] data, double[] expected)
    {
        using var folder = new TemporaryFolder();
        foreach (var padding in (int[])[0, 1])
        {
            var header = $$"""{"x":{"dtype":"{{dtype}}","shape":[2,1],"data_offsets":[0,{{data.Length}}]} }""";
            header += new string(' ', ((8 - (header.Length % 8)) % 8) + padding);
            using var file = SafetensorsFile.Open(folder.Write("x.safetensors", SafetensorsBytes.Of(header, data)));
            using var scope = NewDisposeScope();
            var tensor = file.Read("x");
            Assert.Equal(type, tensor.dtype);
            Assert.Equal([2, 1], tensor.shape);
            Assert.Equal(expected, tensor.to(ScalarType.Float64).data<double>().ToArray());
        }
    }

    [Theory]
    [InlineData("U16", 4)]
    [InlineData("U32", 8)]
    [InlineData("U64", 16)]
    [InlineData("C64", 16)]
    [InlineData("F4", 1)]
    public void Other_types_are_listed_and_refused_by_name(string dtype, int bytes)
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors",
            SafetensorsBytes.Of($$"""{"x":{"dtype":"{{dtype}}","shape":[2],"data_offsets":[0,{{bytes}}]} }""", new byte[bytes])));
        Assert.Equal(dtype, file.Tensors["x"].Dtype.ToString());
        var exception = Assert.Throws<ModelFileException>(() => file.Read("x"));
        Assert.Contains(dtype, exception.Message, StringComparison.Ordinal);
        Assert.Contains("BF16", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Metadata_scalars_and_empty_tensors_are_fine()
    {
        const string header = """
            {"e":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"__metadata__":{"format":"pt","é":"\u00e9"},
             "s":{"shape":[],"unknown":[1],"dtype":"F32","data_offsets":[0,4]}, "f":{"dtype":"I64","shape":[9,0],"data_offsets":[0,0]}}
            """;
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors", SafetensorsBytes.Of(header, 2.5f)));
        using var scope = NewDisposeScope();
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal("é", file.Metadata["é"]);
        Assert.Equal(2.5f, file.Read("s").item<float>());
        Assert.Equal([0, 3], file.Read("e").shape);
        Assert.Equal(ScalarType.Int64, file.Read("f").dtype);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}""")]
    [InlineData("""{"__metadata__":null}    """)]
    public void A_file_without_data_is_fine(string header)
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors", SafetensorsBytes.Of(header)));
        using var scope = NewDisposeScope();
        Assert.All(file.Tensors.Keys, name => Assert.Equal(0, file.Read(name).NumberOfElements));
    }

    [Fact]
    public void Tensors_are_views_of_one_mapping_and_never_of_the_file()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["x"] = ones(4) });
        using var file = SafetensorsFile.Open(path);
        file.Read("x").fill_(7);
        Assert.Equal(28f, file.Read("x").sum().item<float>());
        using var again = SafetensorsFile.Open(path);
        Assert.Equal(4f, again.Read("x").sum().item<float>());
    }

    [Fact]
    public void Tensors_outlive_their_file_and_nothing_is_read_after_it()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["x"] = ones(4) });
        var file = SafetensorsFile.Open(path);
        var tensor = file.Read("x");
        file.Dispose();
        file.Dispose();
        File.Delete(path);
        Assert.Equal(4f, tensor.sum().item<float>());
        Assert.Throws<ObjectDisposedException>(() => file.Read("x"));
    }

    [Fact]
    public void A_name_that_is_not_there_is_named()
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors", SafetensorsBytes.Of("{}")));
        Assert.Contains("'y'", Assert.Throws<KeyNotFoundException>(() => file.Read("y")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_5_GB_is_mapped_without_taking_memory()
    {
        const long big = 5_000_000_000;
        var header = $$"""{"big":{"dtype":"F16","shape":[{{big / 2}}],"data_offsets":[0,{{big}}]},"last":{"dtype":"F32","shape":[2],"data_offsets":[{{big}},{{big + 8}}]} }""";
        header = header.PadRight((header.Length + 7) / 8 * 8);
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.safetensors", SafetensorsBytes.Of(header));
        using (var stream = new FileStream(path, FileMode.Open))
        {
            stream.Position = stream.Length + big;
            stream.Write([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
        }

        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var tensor = file.Read("big");
        var last = file.Read("last");
        Assert.InRange(ResidentMemory.OfFile(path), 0, 20_000_000);
        Assert.Equal(0f, tensor[tensor.NumberOfElements - 1].to(ScalarType.Float32).item<float>());
        Assert.Equal([1f, 2f], last.data<float>().ToArray());
    }

    [Fact]
    public void A_file_can_be_read_from_several_threads()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        using (NewDisposeScope())
        {
            SafetensorsWriter.Write(path, Enumerable.Range(0, 50).ToDictionary(
                i => i.ToString(CultureInfo.InvariantCulture), i => full([100], i, ScalarType.Float32)));
        }

        using var file = SafetensorsFile.Open(path);
        Parallel.For(0, 500, i =>
        {
            using var scope = NewDisposeScope();
            Assert.Equal(i % 50 * 100f, file.Read((i % 50).ToString(CultureInfo.InvariantCulture)).sum().item<float>());
        });
    }

    [Fact]
    public void Paths_need_not_be_ASCII()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("Ünïcode 模型/x y.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["x"] = ones(4) });
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(4f, file.Read("x").sum().item<float>());
    }
}
