using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>Whether it succeeds or fails, working with weights leaves no tensor but those it gives.</summary>
[Collection(typeof(AloneCollection))]
public class WeightMemoryTests
{
    [Fact]
    public void Reading_leaves_what_is_read() => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        Write(path, ScalarType.Float32);
        using var file = SafetensorsFile.Open(path);
        file.Read("weight").Dispose();
        Assert.Throws<KeyNotFoundException>(() => file.Read("none"));
        _ = CheckpointShapes.Of(file).ToJson();
    });

    [Fact]
    public void A_file_that_is_refused_leaves_nothing() => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        foreach (var row in MalformedFileTests.Headers().Concat(MalformedFileTests.Foreign()))
        {
            var path = folder.Write("x.safetensors", row.Data.Item2);
            Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(path));
        }
    });

    [Fact]
    public void Writing_leaves_nothing_even_where_it_fails() => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        TensorInfo[] plan = [new("a", SafetensorsDtype.F32, 2), new("b", SafetensorsDtype.F32, 2)];
        SafetensorsWriter.Write(path, plan, _ => ones(2));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, plan, name => ones(name == "a" ? 2 : 3)));
    });

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.Float32)]
    public void Binding_leaves_what_the_module_holds(ScalarType stored) => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        Write(path, stored);
        using var file = SafetensorsFile.Open(path);
        using var fits = new Linear(3, 2);
        WeightBinder.Bind(fits, file, ScalarType.Float32);
        using var other = new Linear(2, 3);
        Assert.Throws<WeightMismatchException>(() => WeightBinder.Bind(other, file, ScalarType.Float32));
    });

    [Fact]
    public void Shards_leave_what_is_read() => LiveTensors.AssertNoneLeft(() =>
    {
        using var folder = new TemporaryFolder();
        Write(folder.PathOf("unet/model-00001-of-00001.safetensors"), ScalarType.Float32);
        folder.Write("unet/model.safetensors.index.json", """
            {
              "metadata": {"total_size": 32},
              "weight_map": {"weight": "model-00001-of-00001.safetensors", "bias": "model-00001-of-00001.safetensors"}
            }
            """);
        using var source = ModelFolder.Open(folder.Path).OpenWeights("unet");
        source.Read("weight").Dispose();
        Assert.Throws<KeyNotFoundException>(() => source.Read("none"));
    });

    private static void Write(string path, ScalarType type)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["weight"] = ones([2, 3], type), ["bias"] = ones(2, type) });
    }
}
