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
    private const string FileName = "w.safetensors";
    private const int Width = 4096;
    private const double Weights = (double)Width * Width;
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void Released_pages_are_read_again()
    {
        using var scope = NewDisposeScope();
        using var file = Write(ScalarType.Float32);
        var weight = file.Read("weight");
        var sum = weight.sum().item<float>();
        AssertOfFile(4);

        PageAdvice.Release(weight);
        AssertOfFile(0);
        Assert.Equal(sum, weight.sum().item<float>());
        AssertOfFile(4);
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
        WeightBinder.Bind(layer, file, ScalarType.Float32);
        AssertOfFile(0);
        Assert.Equal(DeviceType.META, layer.weight.device_type);

        using var input = ones(1, Width);
        using var output = layer.call(input);
        AssertOfFile(0);
        AssertPacked(layer, ScalarType.Float16);
    }

    [Fact]
    public void Converted_weights_are_in_memory_once()
    {
        using var file = Write(ScalarType.Float16);
        using var layer = new Embedding(Width, Width);
        WeightBinder.Bind(layer, file, ScalarType.Float32);
        AssertOfFile(0);
        Assert.Equal((DeviceType.CPU, ScalarType.Float32), (layer.weight.device_type, layer.weight.dtype));
    }

    [Fact]
    public void Packed_weights_are_in_memory_once()
    {
        using var file = Write(ScalarType.Float32);
        using var layer = new Linear(Width, Width, bias: false);
        WeightBinder.Bind(layer, file);
        using var input = ones(1, Width);
        using var output = layer.call(input);
        AssertOfFile(0);
        AssertPacked(layer, ScalarType.Float32);
    }

    [Fact]
    public void Weights_of_a_block_that_has_left_are_not_in_memory()
    {
        using var file = Write(ScalarType.BFloat16);
        using var layer = new Linear(Width, Width, bias: false);
        WeightBinder.Bind(layer, file);
        var streaming = new BlockStreaming(layer, [layer], CPU, ScalarType.Float32);
        using var input = ones(1, Width);
        for (var run = 0; run < 2; run++)
        {
            var live = Tensor.TotalCount;
            using (streaming.Load(layer))
            {
                layer.call(input).Dispose();
            }

            AssertOfFile(0);
            Assert.Equal(live, Tensor.TotalCount);
            Assert.Equal(ScalarType.BFloat16, layer.weight.dtype);
        }
    }

    public void Dispose() => folder.Dispose();

    /// <summary>The weight is packed, in a type, and in no second place.</summary>
    private static void AssertPacked(Linear layer, ScalarType type)
    {
        Assert.Equal(DeviceType.META, layer.weight.device_type);
        var packed = Assert.Single(layer.Storage.GetOrPack(new PackedMatrix(Parts: 1), [1, Width])!);
        Assert.Equal((type, Width * Width), (packed.dtype, packed.numel()));
    }

    /// <summary>How many bytes of each weight are in memory as pages of the file.</summary>
    private void AssertOfFile(double bytesAWeight) =>
        Assert.InRange(ResidentMemory.OfFile(folder.PathOf(FileName)) / Weights, bytesAWeight - 0.05, bytesAWeight + 0.05);

    private SafetensorsFile Write(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var path = folder.PathOf(FileName);
        SafetensorsWriter.Write(path, new Dictionary<string,
            Tensor> { ["weight"] = arange(Width, dtype: type).expand(Width, Width).contiguous() });
        return SafetensorsFile.Open(path);
    }
}
