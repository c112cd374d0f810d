using System.Globalization;
using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>The levels of a UNet, each of half the height and width of the one above, rounded up.</summary>
internal static class UNetLevels
{
    /// <summary>Returns the image tokens of an attention layer, by its path.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="levels">The number of levels.</param>
    /// <param name="height">The height of the latents.</param>
    /// <param name="width">The width of the latents.</param>
    public static long TokensOf(AttentionLayer layer, int levels, int height, int width)
    {
        var parts = layer.Path.Split('.');
        var level = parts[0] == "mid_block" ? levels - 1
            : int.Parse(parts[1], CultureInfo.InvariantCulture) is var block && parts[0] == "down_blocks" ? block : levels - 1 - block;
        return (((height - 1L) >> level) + 1) * (((width - 1L) >> level) + 1);
    }
}
