using Xunit.v3;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Checks that a piece of work leaves no tensor. Tests that call it are in the <c>AloneCollection</c>: tensors of
/// other tests that run at the same time would count.</summary>
public static class LiveTensors
{
    public static void AssertNoneLeft(Action work)
    {
        Assert.True(
            TestContext.Current.TestCollection is IXunitTestCollection { DisableParallelization: true },
            "A test that counts tensors belongs to the AloneCollection.");
        work();
        Collect();
        var before = Tensor.TotalCount;
        work();
        Collect();
        Assert.Equal(before, Tensor.TotalCount);
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }
}
