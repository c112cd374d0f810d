using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class MappedFileTests
{
    private static string Write(TemporaryFolder folder)
    {
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["a"] = tensor([1f, 2, 3, 4], [2, 2]),
            ["b"] = tensor(new byte[] { 5, 6, 7 }),
        });
        return path;
    }

    [Fact]
    public void Weights_that_are_not_mapped_are_the_same()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Write(folder), maps: false);

        Assert.Equal([1f, 2, 3, 4], file.Read("a").data<float>().ToArray());
        Assert.Equal([2, 2], file.Read("a").shape);
        Assert.Equal([5, 6, 7], file.Read("b").data<byte>().ToArray());
        Assert.False(((IMappedTensorSource)file).IsView("a"));
    }

    [Fact]
    public void A_file_that_lost_its_end_is_refused_where_it_is_not_mapped()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = Write(folder);
        using var file = SafetensorsFile.Open(path, maps: false);
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(stream.Length - 1);
        }

        Assert.Equal([1f, 2, 3, 4], file.Read("a").data<float>().ToArray());
        var error = Assert.Throws<ModelFileException>(() => file.Read("b"));
        Assert.Equal(path, error.Path);
        Assert.Contains("the file was changed while its weights were in use", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_mapped_file_that_changed_is_not_read_further(bool longer)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = Write(folder);
        var written = File.GetLastWriteTimeUtc(path);
        using var file = SafetensorsFile.Open(path);
        file.Read("a");
        if (longer)
        {
            using var stream = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
            stream.WriteByte(0);
        }

        File.SetLastWriteTimeUtc(path, longer ? written : written.AddSeconds(5));
        Assert.Contains("was changed", Assert.Throws<ModelFileException>(() => file.Read("a")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_read_after_disposal_even_what_has_no_bytes()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        using (NewDisposeScope())
        {
            SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["empty"] = zeros(0, 2) });
        }

        var file = SafetensorsFile.Open(path);
        Assert.False(((IMappedTensorSource)file).IsView("empty"));
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Read("empty"));
    }

    [Theory]
    [InlineData(SafetensorsDtype.F16, true, 16)]
    [InlineData(SafetensorsDtype.BF16, true, 16)]
    [InlineData(SafetensorsDtype.F32, true, 32)]
    [InlineData(SafetensorsDtype.F64, true, 64)]
    [InlineData(SafetensorsDtype.I64, false, 64)]
    [InlineData(SafetensorsDtype.U8, false, 8)]
    [InlineData(SafetensorsDtype.F8_E4M3, true, 8)]
    [InlineData(SafetensorsDtype.F6_E2M3, false, 6)]
    [InlineData(SafetensorsDtype.F4, false, 4)]
    [InlineData(SafetensorsDtype.C64, false, 64)]
    public void Types_have_the_sizes_of_the_format(SafetensorsDtype dtype, bool isFloat, int bits)
    {
        Assert.Equal(isFloat, dtype.IsReadableFloat());
        Assert.Equal(bits, dtype.Bits());
    }

    [Fact]
    public void Readable_types_are_listed_in_the_order_of_the_format() =>
        Assert.Equal("BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, F16, BF16, I32, F32, F64, I64", SafetensorsDtypes.Names);
}
