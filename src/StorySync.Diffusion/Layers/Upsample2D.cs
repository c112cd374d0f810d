using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Nearest-neighbor upsampling, then a convolution (diffusers' <c>Upsample2D</c>).</summary>
internal sealed class Upsample2D : nn.Module<Tensor, long[]?, Tensor>
{
    private readonly Conv2d conv;

    public Upsample2D(long channels)
        : base(nameof(Upsample2D))
    {
        conv = new Conv2d(channels, channels, kernel: 3, padding: 1);
        RegisterComponents();
    }

    /// <summary>Returns the elements, per pixel and channel of its input, of that input and a result of twice its height and
    /// width.</summary>
    /// <param name="enlarges">Whether the image is enlarged in memory before the convolution, and not by it.</param>
    public static int PeakElements(bool enlarges) => enlarges ? 9 : 5;

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="size">Height and width of the result; null doubles both.</param>
    public override Tensor forward(Tensor input, long[]? size) => Fused.UpsampleConv2d(conv, input, size);
}
