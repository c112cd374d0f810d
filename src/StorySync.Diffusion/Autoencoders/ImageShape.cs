using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>The shape that images and latents have: (batch, channels, height, width).</summary>
internal static class ImageShape
{
    /// <exception cref="ArgumentException">The tensor does not have the expected shape.</exception>
    public static void Check(Tensor tensor, long channels, [CallerArgumentExpression(nameof(tensor))] string? name = null)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (tensor.ndim != 4 || tensor.shape[1] != channels || tensor.numel() == 0)
        {
            throw new ArgumentException(
                $"The shape is ({string.Join(", ", tensor.shape)}); expected (batch, {channels}, height, width), none of them 0.", name);
        }
    }
}
