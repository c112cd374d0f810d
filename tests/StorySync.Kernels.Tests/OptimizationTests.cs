using System.Diagnostics;
using System.Reflection;

namespace StorySync.Kernels.Tests;

public class OptimizationTests
{
    [Fact]
    public void Kernels_are_optimized_in_debug_builds_too()
    {
        var attribute = typeof(AttentionKernel).Assembly.GetCustomAttribute<DebuggableAttribute>();
        Assert.False(attribute is { IsJITOptimizerDisabled: true });
    }
}
