using StorySync.Diffusion.Layers;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

public class GateKernelTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8192)]
    [InlineData(30001)]
    public void It_multiplies_with_the_exact_gelu(int count)
    {
        using var scope = NewDisposeScope();
        var (gate, value) = (5 * randn(count), randn(count));
        var expected = nn.functional.gelu(gate.to(float64)) * value;

        Assert.True(GateKernel.Takes(gate, value));
        GateKernel.Apply(gate, value);
        Assert.InRange((gate - expected).abs().max().item<double>(), 0, 5e-6);
    }

    [Fact]
    public void Nothing_is_nothing()
    {
        using var scope = NewDisposeScope();
        GateKernel.Apply(empty(0), empty(0));
    }

    [Fact]
    public void It_leaves_alone_what_does_not_lie_in_a_row()
    {
        using var scope = NewDisposeScope();
        var gate = zeros(4, 6);
        Assert.False(GateKernel.Takes(gate.t(), zeros(6, 4)));
        Assert.False(GateKernel.Takes(gate, zeros(6, 4).t()));
        Assert.False(GateKernel.Takes(gate.to(float64), gate.to(float64)));
    }
}
