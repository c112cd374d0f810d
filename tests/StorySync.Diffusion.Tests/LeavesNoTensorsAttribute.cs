using System.Reflection;
using TorchSharp;
using Xunit.v3;

namespace StorySync.Diffusion.Tests;

/// <summary>Fails a test after which more tensors (or fewer) live than before. The count is the thread's, so it is for tests that
/// stay on one thread.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
public sealed class LeavesNoTensorsAttribute : BeforeAfterTestAttribute
{
    [ThreadStatic]
    private static long before;

    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => before = Live;

    public override void After(MethodInfo methodUnderTest, IXunitTest test) => Assert.Equal(before, Live);

    private static long Live => DisposeScopeManager.Statistics.ThreadTotalLiveCount;
}
