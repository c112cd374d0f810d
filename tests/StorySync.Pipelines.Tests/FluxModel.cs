using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>The reference's FLUX models, tiny and of random weights, loaded once for all tests of a class.</summary>
public sealed class FluxModel : IDisposable
{
    private FluxPipeline? schnell;
    private FluxPipeline? dev;

    public static string SchnellFolder => ReferenceData.PathOf("models/tiny-flux");

    public FluxPipeline Schnell => schnell ??= FluxPipeline.Load(SchnellFolder, new PipelineOptions { Device = "cpu" });

    public FluxPipeline Dev => dev ??= new FluxPipeline(
        new LoadJob(ModelFolder.Open(SchnellFolder), new PipelineOptions { Device = "cpu" })
        {
            Denoiser = ModelFolder.Open(ReferenceData.PathOf("models/tiny-flux-dev")),
        });

    public void Dispose()
    {
        schnell?.Dispose();
        dev?.Dispose();
    }
}
