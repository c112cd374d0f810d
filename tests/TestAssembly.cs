using StorySync.TestSupport;

[assembly: SeededTensors]
[assembly: TestFramework(typeof(SkipSummaryFramework))]
