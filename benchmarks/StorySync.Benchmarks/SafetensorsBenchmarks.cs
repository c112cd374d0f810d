using BenchmarkDotNet.Attributes;
using StorySync.Diffusion.Weights;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>What opening a checkpoint costs before any of its data is looked at. In-process, so that no second program with a
/// libtorch of its own is built.</summary>
[InProcess]
[MemoryDiagnoser]
public class SafetensorsBenchmarks
{
    private DirectoryInfo folder = null!;
    private string path = null!;

    /// <summary>The tensors of the file; SDXL's UNet has 1,680.</summary>
    [Params(100, 1680)]
    public int Tensors { get; set; }

    [GlobalSetup]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("storysync-benchmark-");
        path = Path.Combine(folder.FullName, "weights.safetensors");
        SafetensorsWriter.Write(
            path,
            Enumerable.Range(0, Tensors).Select(i => new TensorInfo(
                $"down_blocks.{i % 4}.attentions.{i}.weight", SafetensorsDtype.F16, 64, 64)),
            _ => ones([64, 64], ScalarType.Float16));
    }

    [GlobalCleanup]
    public void Delete() => folder.Delete(recursive: true);

    [Benchmark]
    public int Open()
    {
        using var file = SafetensorsFile.Open(path);
        return file.Tensors.Count;
    }

    [Benchmark]
    public long OpenAndGetEveryTensor()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        return file.Tensors.Keys.Sum(name => file.Read(name).NumberOfElements);
    }
}
