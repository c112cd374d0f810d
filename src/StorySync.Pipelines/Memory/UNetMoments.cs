using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Sdxl;

namespace StorySync.Pipelines;

/// <summary>The largest moment of a pass through SDXL's UNet, found by walking through its layers.</summary>
/// <remarks>Sharing adds nothing here: a transformer block holds more in its feed-forward part than attention gathers.</remarks>
internal static class UNetMoments
{
    // At the feed-forward part's gate: the block's input, the sum so far, its norm, and the gate's 8 + 4.
    private const double InTransformer = 15;

    /// <param name="config">The sizes.</param>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="height">Height of the latents.</param>
    /// <param name="width">Width of the latents.</param>
    public static ActivationPeak Largest(UNet2DConditionConfig config, long rows, int height, int width)
    {
        var channels = config.BlockOutChannels;
        var levels = channels.Count;
        var resnets = config.LayersPerBlock.For(levels);
        double Map(int level, double c) => rows * c * Math.Ceiling(height / Math.Pow(2, level)) * Math.Ceiling(width / Math.Pow(2, level));
        static bool Attends(string type) => type.StartsWith("CrossAttn", StringComparison.Ordinal);
        double Layer(int level, double from, bool attends)
        {
            double to = channels[level];
            return Map(level, Math.Max(Math.Max(from + to, 3 * to), attends ? InTransformer * to : 0));
        }

        var largest = new ActivationPeak("", 0);
        var skips = new Stack<(double Values, double Channels)>();
        double held = 0;
        void Push(int level)
        {
            skips.Push((Map(level, channels[level]), channels[level]));
            held += skips.Peek().Values;
        }

        Push(0);
        for (var level = 0; level < levels; level++)
        {
            for (var i = 0; i < resnets[level]; i++)
            {
                largest = largest.Or(new($"down_blocks.{level}", held + Layer(level, skips.Peek().Channels, Attends(config.DownBlockTypes[level]))));
                Push(level);
            }

            if (level < levels - 1)
            {
                skips.Push((Map(level + 1, channels[level]), channels[level]));
                held += skips.Peek().Values;
            }
        }

        largest = largest.Or(new("mid_block", held + Layer(levels - 1, channels[^1], config.MidBlockType is not null)));
        double hidden = channels[^1];
        for (var level = levels - 1; level >= 0; level--)
        {
            var block = $"up_blocks.{levels - 1 - level}";
            for (var i = 0; i <= resnets[level]; i++)
            {
                // A skip stays, beside the joined input that it is a part of, until its resnet and transformer are done.
                var joined = hidden + skips.Peek().Channels;
                var layer = Layer(level, joined, Attends(config.UpBlockTypes[levels - 1 - level]));
                largest = largest.Or(new(block, held + Map(level, joined) + layer));
                held -= skips.Pop().Values;
                hidden = channels[level];
            }

            if (level > 0)
            {
                largest = largest.Or(new(block, held + Map(level, hidden) + (2 * Map(level - 1, hidden))));
            }
        }

        return largest.Or(new("conv_norm_out", Map(0, 3 * hidden)));
    }

    /// <summary>What comes out of the first block, and what goes into the last.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="height">Height of the latents.</param>
    /// <param name="width">Width of the latents.</param>
    public static long BlockCacheValues(UNet2DConditionConfig config, int height, int width) => config.BlockOutChannels is [var first, var second, ..]
        ? (first * ((height + 1) / 2) * ((width + 1) / 2)) + ((long)second * height * width)
        : 0;
}
