using System.Reflection;
using Xunit.v3;

namespace StorySync.TestSupport;

/// <summary>Begins the random tensors of <see cref="Seeded"/> again before each test. Used on the assembly.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class SeededTensorsAttribute : BeforeAfterTestAttribute
{
    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => Seeded.Begin();
}
