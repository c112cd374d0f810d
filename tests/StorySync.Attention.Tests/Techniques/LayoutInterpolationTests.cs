using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

public class LayoutInterpolationTests
{
    /// <summary>From the start in the first step linearly to the end, which would be reached where the share of the steps is
    /// over.</summary>
    [Theory]
    [InlineData(0, 0.9)]
    [InlineData(1, 0.6)]
    [InlineData(2, 0.3)]
    [InlineData(3, 0)]
    [InlineData(9, 0)]
    public void The_weight_falls_to_0_in_the_first_30_percent(int step, double weight) =>
        Assert.Equal(weight, LayoutInterpolation.Weight(step, 10), 1e-12);

    [Theory]
    [InlineData(0, 0.8)]
    [InlineData(4, 0.48)]
    [InlineData(5, 0)]
    public void After_its_share_of_the_steps_there_is_none(int step, double weight) =>
        Assert.Equal(weight, LayoutInterpolation.Weight(step, 10, start: 0.8, end: 0.4, until: 0.5), 1e-12);

    [Fact]
    public void Queries_are_mixed_by_the_weight_and_stay_as_they_are()
    {
        using var scope = NewDisposeScope();
        var (query, other) = (tensor([4f, 8]), tensor([0f, 16]));
        Assert.Equal([3f, 10], LayoutInterpolation.Apply(query, other, 0.25).data<float>().ToArray());
        Assert.Equal([4f, 8], query.data<float>().ToArray());
        Assert.Equal([0f, 16], other.data<float>().ToArray());
        TensorAssert.SameBits(query, LayoutInterpolation.Apply(query, other, 0));
    }
}
