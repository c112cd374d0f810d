using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Checks that a piece of work leaves no tensor behind. Run such tests in the collection <see cref="Alone"/>: tensors of
/// other tests that run at the same time would count.</summary>
public static class LiveTensors
{
    public const string Alone = "one test at a time";

    public static void AssertNoneLeft(Action work)
    {
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
