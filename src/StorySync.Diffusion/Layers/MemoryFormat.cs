using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>The order in which a feature map lies in memory.</summary>
internal static class MemoryFormat
{
    /// <summary>Returns the same (batch, channels, height, width), with the channels of a place side by side in memory. Layers keep that
    /// order from one to the next; a convolution on the CPU works in it, and from any other makes reordered copies first.</summary>
    public static Tensor ChannelsLast(this Tensor x)
    {
        using var rows = x.permute(0, 2, 3, 1);
        using var ordered = rows.contiguous();
        return ordered.permute(0, 3, 1, 2);
    }
}
