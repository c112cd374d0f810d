using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

/// <summary>Neither the batch nor the number of threads changes a bit of what layers compute.</summary>
[Collection(typeof(AloneCollection))]
public class ThreadInvarianceTests
{
    [Fact]
    public void Of_linear_layers()
    {
        using var scope = NewDisposeScope();
        using var weight = new TestWeight(Seeded.Normal(100, 300));
        var bias = Seeded.Normal(100);
        Check(Seeded.Normal(5, 150, 300), input => LinearProduct.Run(input, weight.Storage, bias));
    }

    [Fact]
    public void Of_convolutions_by_minimal_filtering()
    {
        using var scope = NewDisposeScope();
        using var weight = new TestWeight(Seeded.Normal(32, 32, 3, 3));
        var bias = Seeded.Normal(32);
        var geometry = new ConvolutionGeometry(32, 32, kernel: 3, stride: 1, padding: 1);
        Check(Seeded.Normal(5, 32, 11, 9), input => Convolution.Run(input, weight.Storage, bias, geometry));
    }

    private static void Check(Tensor input, Func<Tensor, Tensor> compute)
    {
        var together = compute(input);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            TensorAssert.SameBits(together, compute(input));
            TensorAssert.SameBits(together.narrow(0, 3, 1), compute(input.narrow(0, 3, 1)));
        }
        finally
        {
            set_num_threads(threads);
        }
    }
}
