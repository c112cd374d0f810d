using System.Text;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Weights;

public class MalformedFileTests
{
    public static TheoryData<string, byte[], string> Headers()
    {
        var data = new TheoryData<string, byte[], string>();
        void Add(string name, string header, string message, int dataLength = 4) =>
            data.Add(name, SafetensorsBytes.Of(header, new byte[dataLength]), message);

        Add("no dtype", """{"x":{"shape":[1],"data_offsets":[0,4]}}""", "'x' has no dtype");
        Add("no shape", """{"x":{"dtype":"F32","data_offsets":[0,4]}}""", "'x' has no shape");
        Add("no offsets", """{"x":{"dtype":"F32","shape":[1]}}""", "'x' has no data_offsets");
        Add("unknown dtype", """{"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}""", "F33");
        Add("dtype by number", """{"x":{"dtype":"17","shape":[1],"data_offsets":[0,4]}}""", "17");
        Add("dtype in lower case", """{"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", "f32");
        Add("dtype no string", """{"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}""", "dtype 7");
        Add("entry no object", """{"x":[1]}""", "'x' is a list");
        Add("entry null", """{"x":null}""", "'x' is null");
        Add("shape no list", """{"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", "shape of tensor 'x' is 1");
        Add("negative size", """{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", "-1");
        Add("minus zero", """{"x":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}""", "-0", 0);
        Add("fraction", """{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}""", "1.0");
        Add("exponent", """{"x":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}""", "1e0");
        Add("size as string", """{"x":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}""", "\"1\"");
        Add("size beyond 64 bits", """{"x":{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}}""", "2⁶³");
        Add("product overflows", """{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", "overflows");
        Add("product overflows before a zero", """{"x":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}""", "overflows", 0);
        Add("bytes overflow", """{"x":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,4]}}""", "overflows");
        Add("one offset", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", "[begin, end]");
        Add("three offsets", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", "[begin, end]");
        Add("offsets backwards", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", "[begin, end]");
        Add("size and shape differ", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", "needs 8 bytes");
        Add("half a byte", """{"x":{"dtype":"F4","shape":[7],"data_offsets":[0,4]}}""", "needs 3.5 bytes");
        Add("hole at the start", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "no holes", 8);
        Add("hole", """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "no holes");
        Add("overlap", """{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "overlap");
        Add("same place twice", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "overlap");
        Add("duplicate tensor", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "'x'");
        Add("duplicate tensor, escaped", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0078":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}""", "'x'");
        Add("duplicate key in an entry", """{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "'dtype'");
        Add("duplicate metadata", """{"__metadata__":{"a":"1","a":"2"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "'a'");
        Add("metadata no object", """{"__metadata__":"a"}""", "__metadata__ is \"a\"");
        Add("metadata no strings", """{"__metadata__":{"a":1}}""", "'a' of __metadata__ is 1");
        Add("half a surrogate pair", """{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "text");
        Add("half a surrogate pair as metadata", """{"__metadata__":{"a":"\udc00"}}""", "text");
        Add("no end", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}""", "JSON");
        Add("trailing comma", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}""", "JSON");
        Add("comment", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}/**/}""", "JSON");
        Add("two objects", """{}{}""", "JSON");
        Add("zero after the end", "{}\0", "JSON");
        Add("very deep", "{\"x\":" + new string('[', 100_000), "JSON");
        Add("starts with a space", " {}", "does not start");
        Add("starts with a byte order mark", "\ufeff{}", "does not start");
        Add("a list", "[]", "does not start");
        Add("empty header", "", "zeros");
        Add("too much data", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "1 bytes follow", 5);
        Add("one byte missing", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "truncated: ", 3);
        data.Add("not UTF-8", SafetensorsBytes.Of([.. "{\""u8, 0xff, .. "\":{}}"u8]), "UTF-8");
        data.Add("UTF-8 of a surrogate", SafetensorsBytes.Of([.. "{\""u8, 0xed, 0xa0, 0x80, .. "\":{}}"u8]), "UTF-8");
        return data;
    }

    public static TheoryData<string, byte[], string> Foreign() => new()
    {
        { "empty", [], "empty" },
        { "3 bytes", [1, 2, 3], "only 3 bytes" },
        { "Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6938078334\n"u8.ToArray(),
            "Git LFS pointer, not the file itself of 6.94 GB" },
        { "web page", "<!DOCTYPE html>\n<html><head><title>Access denied</title></head></html>"u8.ToArray(), "web page" },
        { "web page, indented", "\n\n  <html lang=\"en\">"u8.ToArray(), "web page" },
        { "error answer", "{\"error\":\"Repository not found\"}"u8.ToArray(), "JSON" },
        { "pickle in a zip", [.. "PK\u0003\u0004"u8, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0], "pickle" },
        { "pickle in a zip, like a length", [.. "PK\u0003\u0004"u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "pickle" },
        { "old pickle", [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20], "safetensors version" },
        { "GGUF", [.. "GGUF"u8, 3, 0, 0, 0, 1, 0, 0, 0, 0], "GGUF" },
        { "zeros", new byte[5000], "zeros" },
        { "header of 100,000,001", [1, 0xe1, 0xf5, 5, 0, 0, 0, 0, .. "{}      "u8], "100,000,000" },
        { "header of 2⁶⁴ − 1", [255, 255, 255, 255, 255, 255, 255, 255, .. "{}      "u8], "100,000,000" },
        { "header longer than the file", [100, 0, 0, 0, 0, 0, 0, 0, .. "{\"x\":"u8], "13 of 108 bytes of its header" },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    [MemberData(nameof(Foreign))]
    public void A_wrong_file_is_explained(string kind, byte[] content, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", content);
        var exception = Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path));
        Assert.StartsWith(path, exception.Message, StringComparison.Ordinal);

        // The path is of random letters.
        var text = exception.Message[path.Length..];
        Assert.True(text.Contains(message, StringComparison.Ordinal), $"{kind}: {text}");
    }

    [Theory]
    [InlineData(new byte[] { 0x80 }, "only 1 bytes")]
    [InlineData(new byte[] { 0x80, 1, 0 }, "only 3 bytes")]
    [InlineData(new byte[] { 0x80, 6, 0 }, "only 3 bytes")]
    [InlineData(new byte[] { 0x80, 2, 0 }, "a PyTorch pickle")]
    [InlineData(new byte[] { 0x80, 5, 0 }, "a PyTorch pickle")]
    [InlineData(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, "only 9 bytes")]
    [InlineData(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, "does not start with a length")]
    public void The_first_bytes_tell_what_a_file_is(byte[] content, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.safetensors", content);
        Assert.Contains(message, Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pointer_of_Git_LFS_need_not_tell_a_size()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
        Assert.Contains("not the file itself: run", Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_truncated_download_tells_how_much_is_there()
    {
        var header = """{"x":{"dtype":"F16","shape":[3469000000],"data_offsets":[0,6938000000]}}""";
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", SafetensorsBytes.Of(header));
        using (var stream = new FileStream(path, FileMode.Open))
        {
            stream.SetLength(1_200_000_000);
        }

        var exception = Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path));
        Assert.Contains("1.2 of 6.94 GB present", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.ckpt")]
    [InlineData("pytorch_model.bin")]
    [InlineData("x.PT")]
    [InlineData("x.pth")]
    [InlineData("x.pkl")]
    public void Pickles_are_known_by_their_names(string name)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write(name, SafetensorsBytes.Of("{}"));
        Assert.Contains("pickle", Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_files_folders_and_broken_links_are_told_apart()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("no such file", Message(Path.Combine(folder.Path, "none.safetensors")), StringComparison.Ordinal);
        Assert.Contains("no such file", Message(Path.Combine(folder.Path, "none", "none.safetensors")), StringComparison.Ordinal);
        Assert.Contains("a folder", Message(folder.Path), StringComparison.Ordinal);
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need rights on Windows");
        var link = Path.Combine(folder.Path, "link.safetensors");
        File.CreateSymbolicLink(link, "blob");
        Assert.Contains("not complete", Message(link), StringComparison.Ordinal);

        static string Message(string path) => Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path)).Message;
    }
}
