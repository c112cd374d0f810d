using StorySync.TestSupport;

[assembly: AssemblyFixture(typeof(ParitySummary))]
