using StorySync.TestSupport;

namespace StorySync.Repository.Tests;

public class ReferenceTests
{
    /// <summary><c>dotnet test</c> shows nothing that a test program writes unless it fails, but each skipped test with its reason: this
    /// one says it for all that need the larger set of reference data.</summary>
    [Fact]
    public void The_larger_reference_data_is_there()
    {
        var users = Repository.Files("*.cs", Repository.PathOf("tests"))
            .Where(path => File.ReadAllText(path).Replace("ReferenceData.RepositoryRoot", "", StringComparison.Ordinal)
                .Contains("ReferenceData.", StringComparison.Ordinal))
            .Select(path => Repository.Relative(path).Split('/')[1])
            .Where(project => project.EndsWith(".Tests", StringComparison.Ordinal) && project != "StorySync.Repository.Tests")
            .Distinct().Order(StringComparer.Ordinal).ToList();
        Assert.NotEmpty(users);
        Assert.SkipWhen(
            ReferenceData.Root is null,
            $"All that is skipped for want of the larger reference data, in {string.Join(", ", users)}: comparisons with diffusers and "
                + $"transformers on more models, sizes and options than the small ones in tests/Reference, which are compared everywhere. "
                + $"Set {ReferenceData.Variable} to its folder, or put it at ../shared/reference.");
        Assert.NotEmpty(ReferenceData.Cases);
    }
}
