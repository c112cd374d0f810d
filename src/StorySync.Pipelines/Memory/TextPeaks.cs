using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.TextEncoders;

namespace StorySync.Pipelines;

/// <summary>The peak of encoding prompts.</summary>
internal static class TextPeaks
{
    public static ActivationPeak Largest(string part, CLIPTextConfig config, long rows, long tokens) =>
        new(part, CLIPTextTransformer.PeakElements(config, rows, tokens));

    public static ActivationPeak Largest(string part, T5Config config, long rows, long tokens) =>
        new(part, T5Stack.PeakElements(config, rows, tokens));
}
