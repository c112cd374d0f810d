using System.Reflection;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Tests;

public class ReferencesTests
{
    /// <summary>A version that is pinned for the libraries alone does not reach programs that reference their projects, as these tests do:
    /// then the assembly that the library was compiled against is not there when it is needed.</summary>
    [Fact]
    public void Every_assembly_that_the_library_was_compiled_against_is_there_at_run_time()
    {
        var library = typeof(ModelFolder).Assembly;
        Assert.Contains(library.GetReferencedAssemblies(), reference => reference.Name == "Google.Protobuf");
        Assert.All(
            library.GetReferencedAssemblies(),
            reference => Assert.True(Assembly.Load(reference).GetName().Version >= reference.Version, reference.FullName));
    }
}
