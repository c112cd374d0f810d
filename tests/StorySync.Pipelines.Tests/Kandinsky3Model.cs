using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>The reference's Kandinsky 3 with its small random weights, loaded once for a class of tests.</summary>
public sealed class Kandinsky3Model : IDisposable
{
    private readonly Lazy<Kandinsky3Pipeline> pipeline = new(Load);

    public Kandinsky3Pipeline Pipeline => pipeline.Value;

    public static Kandinsky3Pipeline Load() => Kandinsky3Pipeline.Load(Folder, new PipelineOptions { Device = "cpu" });

    public void Dispose()
    {
        if (pipeline.IsValueCreated)
        {
            pipeline.Value.Dispose();
        }
    }

    public static string Folder => ReferenceData.PathOf("models/tiny-kandinsky3");
}
