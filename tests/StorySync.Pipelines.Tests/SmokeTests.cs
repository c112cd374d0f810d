using TorchSharp;

namespace StorySync.Pipelines.Tests;

public class SmokeTests
{
    [Fact]
    public void Libtorch_loads_and_multiplies()
    {
        using var scope = torch.NewDisposeScope();
        var product = torch.ones(2, 3).matmul(torch.ones(3, 4));
        Assert.Equal(24f, product.sum().item<float>());
    }
}
