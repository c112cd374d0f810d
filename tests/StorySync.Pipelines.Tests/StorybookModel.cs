namespace StorySync.Pipelines.Tests;

/// <summary>The embedded model, loaded once for all tests that use it.</summary>
public sealed class StorybookModel : IDisposable
{
    public StableDiffusionXLPipeline Pipeline { get; } =
        StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });

    public void Dispose() => Pipeline.Dispose();
}
