using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.TextEncoders;

namespace StorySync.Pipelines;

/// <summary>The largest moment of encoding prompts.</summary>
internal static class TextMoments
{
    // Every layer's output is kept.
    public static ActivationPeak Largest(string part, CLIPTextConfig config, long rows, long tokens) =>
        new(part, rows * tokens * ((config.NumHiddenLayers * config.HiddenSize) + (4 * config.HiddenSize) + (2 * config.IntermediateSize)));

    // The bias by distance is as large as the attention scores.
    public static ActivationPeak Largest(string part, T5Config config, long rows, long tokens) =>
        new(part, (rows * tokens * ((6 * config.DModel) + (3 * config.DFf))) + ((rows + 2) * config.NumHeads * tokens * tokens));
}
