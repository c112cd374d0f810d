using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>How much of a mapped file is in memory once its tensors have been copied elsewhere.</summary>
[Collection(typeof(AloneCollection))]
public sealed class MappedPagesTests : IDisposable
{
    private const int Width = 4096;
    private const double Weights = (double)Width * Width;
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void Released_pages_are_read_again()
    {
        using var scope = NewDisposeScope();
        using var file = Write(ScalarType.Float32);
        var before = ResidentMemory.Settled();
        var weight = file.Read("weight");
        var sum = weight.sum().item<float>();
        AssertTakes(4, before);

        PageAdvice.Release(weight);
        AssertTakes(0, before);
        Assert.Equal(sum, weight.sum().item<float>());
        AssertTakes(4, before);
    }

    [Fact]
    public void Of_tensors_that_are_no_file_s_nothing_is_released()
    {
        using var scope = NewDisposeScope();
        using var file = Write(ScalarType.Float32);
        using var layer = new Linear(Width, Width, bias: false);
        WeightBinder.Bind(layer, file);
        layer.to(ScalarType.Float64).to(ScalarType.Float32);
        layer.Storage.ReleasePages();
        TensorAssert.SameBits(layer.weight, file.Read("weight"));

        WeightBinder.Bind(layer, file);
        layer.Storage.Replace(ones(Width, Width).DetachFromDisposeScope());
        layer.Storage.ReleasePages();
        Assert.Equal(Weights, layer.weight.sum().item<float>());

        WeightBinder.Bind(layer, file);
        var copy = ones(Width, Width);
        layer.Storage.Swap(copy);
        layer.Storage.ReleasePages();
        Assert.Equal(Weights, layer.weight.sum().item<float>());
    }

    [Fact]
    public void Half_weights_are_not_in_memory_until_they_are_needed_and_then_once_and_as_halves()
    {
        using var file = Write(ScalarType.Float16);
        using var layer = new Linear(Width, Width, bias: false);
        var before = ResidentMemory.Settled();
        WeightBinder.Bind(layer, file, ScalarType.Float32);
        AssertTakes(0, before);

        using var input = ones(1, Width);
        using var output = layer.call(input);
        AssertTakes(2, before);
    }

    [Fact]
    public void Converted_weights_are_in_memory_once()
    {
        using var file = Write(ScalarType.Float16);
        using var layer = new Embedding(Width, Width);
        var before = ResidentMemory.Settled();
        WeightBinder.Bind(layer, file, ScalarType.Float32);
        AssertTakes(4, before);
    }

    [Fact]
    public void Packed_weights_are_in_memory_once()
    {
        using var file = Write(ScalarType.Float32);
        using var layer = new Linear(Width, Width, bias: false);
        WeightBinder.Bind(layer, file);
        var before = ResidentMemory.Settled();
        using var input = ones(1, Width);
        using var output = layer.call(input);
        AssertTakes(4, before);
    }

    [Fact]
    public void Weights_of_a_block_that_has_left_are_not_in_memory()
    {
        using var file = Write(ScalarType.BFloat16);
        using var layer = new Linear(Width, Width, bias: false);
        WeightBinder.Bind(layer, file);
        var before = ResidentMemory.Settled();
        var streaming = new BlockStreaming(layer, [layer], CPU, ScalarType.Float32);
        using var input = ones(1, Width);
        for (var run = 0; run < 2; run++)
        {
            using (streaming.Load(layer))
            {
                layer.call(input).Dispose();
            }

            AssertTakes(0, before);
        }
    }

    public void Dispose() => folder.Dispose();

    private static void AssertTakes(double bytesAWeight, long before) =>
        Assert.InRange((ResidentMemory.Settled() - before) / Weights, bytesAWeight - 0.5, bytesAWeight + 0.5);

    private SafetensorsFile Write(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var path = folder.PathOf("w.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["weight"] = arange(Width, dtype: type).expand(Width, Width).contiguous() });
        return SafetensorsFile.Open(path);
    }
}
