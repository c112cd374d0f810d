using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests;

[CollectionDefinition(LiveTensors.Alone, DisableParallelization = true)]
public sealed class AloneCollection;
