using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A transposed convolution without overlap, over (batch, channels, height, width): every value becomes a square (torch's
/// <c>nn.ConvTranspose2d</c> with stride and kernel equal).</summary>
internal sealed class ConvTranspose2d : WeightedLayer
{
    private readonly long[] stride;
    private readonly OneDnnTransposedFilter format;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="kernel">Side of the squares; height and width grow by this factor.</param>
    public ConvTranspose2d(long inChannels, long outChannels, long kernel)
        : base(nameof(ConvTranspose2d), outChannels, canDefer: true, inChannels, outChannels, kernel, kernel)
    {
        stride = [kernel, kernel];
        format = new OneDnnTransposedFilter(stride, padding: [0, 0]);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => Convolution.RunTransposed(input, Storage, bias, stride, format);
}
