using StorySync.TestSupport;

namespace StorySync.Kernels.Tests;

[CollectionDefinition(LiveTensors.Alone, DisableParallelization = true)]
public sealed class AloneCollection;
