using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Halves height and width by a convolution of stride 2 (diffusers' <c>Downsample2D</c>).</summary>
internal sealed class Downsample2D : nn.Module<Tensor, Tensor>
{
    private readonly Conv2d conv;
    private readonly bool padRightAndBottom;

    /// <param name="channels">Channels in and out.</param>
    /// <param name="padding">Zeros on each side; 0 pads one column on the right and one row at the bottom instead, as autoencoders
    /// do.</param>
    public Downsample2D(long channels, long padding = 1)
        : base(nameof(Downsample2D))
    {
        conv = new Conv2d(channels, channels, kernel: 3, stride: 2, padding: padding);
        padRightAndBottom = padding == 0;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        if (!padRightAndBottom)
        {
            return conv.call(input);
        }

        using var padded = nn.functional.pad(input, [0, 1, 0, 1]);
        return conv.call(padded);
    }
}
