using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>The reference's FLUX models, tiny and of random weights, loaded once for all tests of a class; a test that asks for one is
/// skipped when there is no reference data.</summary>
public sealed class FluxModel : IDisposable
{
    private FluxPipeline? schnell;
    private FluxPipeline? dev;

    public static string SchnellFolder => ReferenceData.PathOf("models/tiny-flux");

    public FluxPipeline Schnell => schnell ??= FluxPipeline.Load(SchnellFolder, new PipelineOptions { Device = "cpu" });

    public FluxPipeline Dev => dev ??= new FluxPipeline(
        ModelFolder.Open(SchnellFolder), ModelFolder.Open(ReferenceData.PathOf("models/tiny-flux-dev")), new PipelineOptions { Device = "cpu" });

    public void Dispose()
    {
        schnell?.Dispose();
        dev?.Dispose();
    }
}
