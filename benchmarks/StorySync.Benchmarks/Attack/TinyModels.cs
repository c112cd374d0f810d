using StorySync.Pipelines;

namespace StorySync.Benchmarks.Attack;

/// <summary>The smallest model of each architecture, and what is asked of them.</summary>
internal static class TinyModels
{
    public static readonly string[] Names = ["tiny-sdxl", "tiny-flux", "tiny-kandinsky3"];
    private const int Side = 64;
    private static readonly PipelineOptions Cpu = new() { Device = "cpu" };

    public static DiffusionPipeline Load(string folder, bool mapWeights = true) =>
        DiffusionPipeline.Load(folder, Cpu with { MapWeights = mapWeights });

    /// <summary>Loads all three.</summary>
    public static DiffusionPipeline[] LoadAll(string models) => [.. Names.Select(name => Load(Path.Combine(models, name)))];

    public static GenerationRequest Request(int steps = 2, long seed = 1) =>
        new() { Prompts = ["a red fox!"], Height = Side, Width = Side, Steps = steps, Seed = seed };

    /// <summary>The image of a request, as bytes.</summary>
    public static byte[] Draw(DiffusionPipeline pipeline, GenerationRequest? request = null, CancellationToken token = default)
    {
        using var result = pipeline.Generate(request ?? Request(), cancellationToken: token);
        return result.Images[0].Pixels.ToArray();
    }
}
