using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A convolution over (batch, channels, height, width) (torch's <c>nn.Conv2d</c>).</summary>
internal sealed class Conv2d : WeightedLayer
{
    public Conv2d(long inChannels, long outChannels, long kernel, long stride = 1, long padding = 0, bool bias = true)
        : base(nameof(Conv2d), bias ? outChannels : null, canDefer: true, outChannels, inChannels, kernel, kernel)
    {
        Geometry = new ConvolutionGeometry(inChannels, outChannels, kernel, stride, padding);
        RegisterComponents();
    }

    /// <summary>Gets the sizes.</summary>
    public ConvolutionGeometry Geometry { get; }

    protected override bool ReadsHalves => Geometry.ReadsHalves;

    public override Tensor forward(Tensor input) => Convolution.Run(input, Storage, bias, Geometry);
}
