using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class WeightBinderTests
{
    private sealed class Block : nn.Module
    {
        public readonly Linear proj = new(3, 2);
        public readonly GroupNorm norm = new(1, 2, 1e-5);

        public Block()
            : base(nameof(Block)) => RegisterComponents();
    }

    private static Dictionary<string, Tensor> Weights(ScalarType type = ScalarType.Float32) => new()
    {
        ["proj.weight"] = arange(6, dtype: type).view(2, 3),
        ["proj.bias"] = ones(2, type),
        ["norm.weight"] = ones(2, type),
        ["norm.bias"] = zeros(2, type),
    };

    [Theory]
    [InlineData(ScalarType.Float32, null, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, null, ScalarType.Float16)]
    public void Weights_are_bound_by_name(ScalarType stored, ScalarType? wanted, ScalarType bound)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.File("w.safetensors"), Weights(stored));
        using var block = new Block();
        using (var source = SafetensorsFile.Open(folder.File("w.safetensors")))
        {
            WeightBinder.Bind(block, source, wanted);
        }

        Assert.Equal(bound, block.proj.weight.dtype);
        Assert.Equal([0f, 1, 2, 3, 4, 5], block.proj.weight.to(ScalarType.Float32).data<float>().ToArray());
        Assert.Equal([4f, 13], block.proj.call(ones(3, dtype: bound)).to(ScalarType.Float32).data<float>().ToArray());
    }
}
