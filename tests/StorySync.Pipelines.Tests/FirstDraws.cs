using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>What each pipeline that the tests of a class share draws at first.</summary>
public sealed class FirstDraws : IDisposable
{
    private readonly Dictionary<DiffusionPipeline, torch.Tensor> made = [];

    /// <summary>Fails unless a pipeline draws what it drew when this was called with it for the first time.</summary>
    public void Check(DiffusionPipeline pipeline)
    {
        using var drawn = pipeline.Generate(new GenerationRequest
        {
            Prompts = ["a bear"], Height = 64, Width = 64, Steps = 1, GuidanceScale = 4, Seed = 5, LatentsOnly = true,
        });
        if (made.TryGetValue(pipeline, out var first))
        {
            TensorAssert.SameBits(first, drawn.Latents);
        }
        else
        {
            made.Add(pipeline, drawn.Latents.clone().DetachFromDisposeScope());
        }
    }

    public void Dispose()
    {
        foreach (var latents in made.Values)
        {
            latents.Dispose();
        }
    }
}
