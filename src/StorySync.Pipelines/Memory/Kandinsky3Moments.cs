using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;

namespace StorySync.Pipelines;

/// <summary>The largest moment of a pass through Kandinsky 3's UNet, found by walking through its blocks.</summary>
internal static class Kandinsky3Moments
{
    // At the feed-forward part's second convolution: the block's input, two norms, the attention's output, 4 + 1 of the feed-forward part,
    // and a copy in the order that the convolution wants.
    private const double InAttention = 10;

    // Of a narrow stage in a resnet: its input, its norm, its output.
    private const double InStage = 3;

    /// <param name="config">The sizes.</param>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="height">Height of the latents.</param>
    /// <param name="width">Width of the latents.</param>
    public static ActivationPeak Largest(Kandinsky3UNetConfig config, long rows, int height, int width)
    {
        var levels = config.BlockOutChannels.Count;
        double[] channels = [config.BlockOutChannels[0] / 2, .. config.BlockOutChannels];
        double Map(int level, double c) => rows * c * (height >> level) * (width >> level);
        static double Resnet(double from, double to) => Math.Max(from + (InStage * Math.Max(from, to) / 2), from + (2 * to));

        var largest = new ActivationPeak("", 0);
        double held = 0;
        for (var level = 0; level < levels; level++)
        {
            // Levels with attention are all but the first on the way down; up, they are counted from the deepest.
            var (from, to) = (channels[level], channels[level + 1]);
            var widest = Math.Max(Resnet(from, to), level > 0 ? InAttention * to : 0);
            largest = largest.Or(new($"down_blocks.{level}", held + Map(level, from + widest)));
            held += Map(Math.Min(level + 1, levels - 1), to);
        }

        for (var level = levels - 1; level >= 0; level--)
        {
            var last = level == levels - 1;
            var (own, to) = (channels[level + 1], channels[level]);
            var widest = last ? own : own * 2;
            held -= Map(Math.Min(level + 1, levels - 1), own);
            var input = Map(Math.Min(level + 1, levels - 1), widest);
            var attends = levels - 1 - level < 3;
            largest = largest.Or(new(
                $"up_blocks.{levels - 1 - level}",
                held + input + Map(level, Math.Max(Resnet(widest, last ? to : widest), attends ? InAttention * widest : 0))));
        }

        return largest.Or(new("conv_norm_out", Map(0, 3 * channels[0])));
    }

    /// <summary>What comes out of the first block, and what goes into the last beside it.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="height">Height of the latents.</param>
    /// <param name="width">Width of the latents.</param>
    public static long BlockCacheValues(Kandinsky3UNetConfig config, int height, int width) =>
        config.BlockOutChannels.Count > 1 ? 2L * config.BlockOutChannels[0] * (height / 2) * (width / 2) : 0;
}
