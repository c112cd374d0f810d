namespace StorySync.TestSupport;

/// <summary>The collection of tests that count what the whole process holds: they run one after the other, and no other test runs
/// meanwhile. Used as <c>[Collection(typeof(AloneCollection))]</c>.</summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class AloneCollection;
