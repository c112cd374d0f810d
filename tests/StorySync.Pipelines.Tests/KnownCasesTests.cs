using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

public class KnownCasesTests
{
    [Fact]
    public void Every_pipeline_of_the_reference_is_tested() => ReferenceData.AssertAllAreTested(
        GetType().Assembly, ReferenceData.Cases.Where(c => c.Group == "pipeline").Select(c => c.Name));
}
