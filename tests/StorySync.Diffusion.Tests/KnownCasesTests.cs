using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests;

/// <summary>Nothing of the reference goes by unnoticed: what is not a pipeline's is tested here.</summary>
public class KnownCasesTests
{
    [Fact]
    public void Every_case_of_the_reference_is_tested() => ReferenceData.AssertAllAreTested(
        GetType().Assembly, ReferenceData.Cases.Where(c => c.Group != "pipeline").Select(c => c.Name));

    [Theory]
    [InlineData("manifests")]
    [InlineData("tokenizers")]
    public void Every_file_of_the_reference_is_tested(string folder)
    {
        ReferenceData.PathOf(folder);
        ReferenceData.AssertAllAreTested(GetType().Assembly, ReferenceData.FileNames(folder).Select(row => row.Data));
    }
}
