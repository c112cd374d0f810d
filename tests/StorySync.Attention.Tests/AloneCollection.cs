using StorySync.TestSupport;

namespace StorySync.Attention.Tests;

[CollectionDefinition(LiveTensors.Alone, DisableParallelization = true)]
public sealed class AloneCollection;
