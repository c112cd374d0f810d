using System.Text;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class SafetensorsWriterTests
{
    [Theory]
    [InlineData("missing/x.safetensors")]
    [InlineData("folder")]
    public void What_cannot_be_written_is_named_and_leaves_nothing(string name)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder.Path, name);
        Directory.CreateDirectory(Path.Combine(folder.Path, "folder"));
        var error = Assert.ThrowsAny<SystemException>(() => SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["a"] = zeros(3),
        }));
        Assert.True(error is IOException or UnauthorizedAccessException, error.ToString());
        Assert.Contains($"'{path}'", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    /// <summary>As a disk that is full, or has smaller files.</summary>
    [Fact]
    public void A_file_that_cannot_be_written_to_its_end_leaves_the_older_one()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.safetensors", "older");
        var info = new TensorInfo("a", SafetensorsDtype.F32, [3]);
        var error = Assert.Throws<IOException>(() =>
            SafetensorsWriter.Write(path, [info], _ => throw new IOException("No space left on device")));
        Assert.Contains("No space", error.Message, StringComparison.Ordinal);
        Assert.Equal("older", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void The_header_is_that_of_the_Python_library()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["b"] = zeros(2),
            ["a"] = zeros(3),
            ["half"] = zeros([], ScalarType.Float16),
            ["brain"] = zeros(1, ScalarType.BFloat16),
            ["long"] = zeros(1, ScalarType.Int64),
            ["double"] = zeros(1, ScalarType.Float64),
            ["empty"] = zeros(0, 4),
            ["bool"] = zeros(3, ScalarType.Bool),
            ["byte"] = zeros(3, ScalarType.Byte),
            ["signed"] = zeros(3, ScalarType.Int8),
            ["short"] = zeros(3, ScalarType.Int16),
            ["int"] = zeros(1, ScalarType.Int32),
            ["é\u0001\n\"\\/\u2028\u007f"] = zeros(1),
            ["\uffee"] = zeros(1),
            ["😀"] = zeros(1),
        }, new Dictionary<string, string> { ["m\n"] = "é" });

        // Made by safetensors 0.8.0 from the same tensors.
        const string expected =
            "{\"__metadata__\":{\"m\\n\":\"é\"},\"long\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
            + "\"double\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[8,16]},\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[16,28]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[28,36]},\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[36,36]},"
            + "\"é\\u0001\\n\\\"\\\\/\u2028\u007f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[36,40]},"
            + "\"\uffee\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]},\"😀\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[44,48]},"
            + "\"int\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[48,52]},\"brain\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[52,54]},"
            + "\"half\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[54,56]},\"short\":{\"dtype\":\"I16\",\"shape\":[3],\"data_offsets\":[56,62]},"
            + "\"signed\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[62,65]},\"byte\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[65,68]},"
            + "\"bool\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[68,71]}}";
        var bytes = File.ReadAllBytes(path);
        var length = (int)BitConverter.ToInt64(bytes);
        Assert.Equal(expected, Encoding.UTF8.GetString(bytes, 8, length).TrimEnd(' '));
        Assert.Equal((Encoding.UTF8.GetByteCount(expected) + 7) / 8 * 8, length);
        Assert.Equal(8 + length + 71, bytes.Length);
    }

    [Fact]
    public void Control_characters_of_names_are_escaped_as_json_has_them()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["\b\t\n\f\r"] = zeros(1) });

        var bytes = File.ReadAllBytes(path);
        Assert.StartsWith("""{"\b\t\n\f\r":""", Encoding.UTF8.GetString(bytes, 8, bytes.Length - 8), StringComparison.Ordinal);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(["\b\t\n\f\r"], file.Tensors.Keys);
    }

    [Fact]
    public void A_name_is_given_once()
    {
        using var folder = new TemporaryFolder();
        var info = new TensorInfo("a", SafetensorsDtype.F32, [1]);
        var path = folder.PathOf("x.safetensors");
        var error = Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [info, info], _ => ones(1)));
        Assert.Contains("Two tensors are called 'a'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Views_are_written_as_they_look()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string,
            Tensor> { ["t"] = arange(6f).view(2, 3).t(), ["expanded"] = ones(1).expand(3) });
        using var file = SafetensorsFile.Open(path);
        Assert.Equal([0f, 3, 1, 4, 2, 5], file.Read("t").data<float>().ToArray());
        Assert.Equal([1f, 1, 1], file.Read("expanded").data<float>().ToArray());
    }

    [Fact]
    public void A_write_that_fails_leaves_the_old_file_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("x.safetensors", "old");
        TensorInfo[] plan = [new("a", SafetensorsDtype.F32, 2), new("b", SafetensorsDtype.F32, 2)];
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, plan, name => ones(name == "a" ? 2 : 3)));
        using var stopped = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => SafetensorsWriter.Write(path, plan, name =>
        {
            stopped.Cancel();
            return ones(2);
        }, cancellationToken: stopped.Token));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Tensors_that_the_format_has_no_place_for_are_named()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.PathOf("x.safetensors");
        Assert.Contains("'c'", Message(new() { ["c"] = zeros(1, ScalarType.ComplexFloat64) }), StringComparison.Ordinal);
        Assert.Contains("__metadata__", Message(new() { ["__metadata__"] = zeros(1) }), StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["\ud800"] = zeros(1) }));
        TensorInfo[] twice = [new("a", SafetensorsDtype.F32, 2), new("a", SafetensorsDtype.F16, 2)];
        Assert.Contains("'a'", Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, twice, _ => ones(2))).Message,
            StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));

        string Message(Dictionary<string, Tensor> tensors) =>
            Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, tensors)).Message;
    }

    [Fact]
    public void Tensors_made_one_at_a_time_die_one_at_a_time()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        var most = 0L;
        var start = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        SafetensorsWriter.Write(path, Enumerable.Range(0, 20).Select(i => new TensorInfo($"t{i}", SafetensorsDtype.F32, 100)), name =>
        {
            most = Math.Max(most, DisposeScopeManager.Statistics.ThreadTotalLiveCount - start);
            return full([100], int.Parse(name.AsSpan(1), System.Globalization.CultureInfo.InvariantCulture), ScalarType.Float32);
        });
        Assert.Equal(0, most);
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(1900f, file.Read("t19").sum().item<float>());
    }
}
