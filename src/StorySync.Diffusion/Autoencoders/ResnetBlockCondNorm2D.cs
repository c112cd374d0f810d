using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>A residual block whose norms see the latents (diffusers' <c>ResnetBlockCondNorm2D</c>, "spatial").</summary>
internal sealed class ResnetBlockCondNorm2D : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly SpatialNorm norm1;
    private readonly Conv2d conv1;
    private readonly SpatialNorm norm2;
    private readonly Conv2d conv2;
    private readonly Conv2d? conv_shortcut;
    private readonly Func<Tensor, Tensor> activate_;

    public ResnetBlockCondNorm2D(long inChannels, long outChannels, long latentChannels, string activation)
        : base(nameof(ResnetBlockCondNorm2D))
    {
        norm1 = new SpatialNorm(inChannels, latentChannels);
        conv1 = new Conv2d(inChannels, outChannels, kernel: 3, padding: 1);
        norm2 = new SpatialNorm(outChannels, latentChannels);
        conv2 = new Conv2d(outChannels, outChannels, kernel: 3, padding: 1);
        conv_shortcut = inChannels == outChannels ? null : new Conv2d(inChannels, outChannels, kernel: 1);
        activate_ = Activation.InPlaceByName(activation);
        RegisterComponents();
    }

    /// <summary>Returns the most elements that a pass makes for each pixel: those of a resnet with plain norms, and the map that a norm
    /// makes of the latents.</summary>
    public static long PeakElementsOf(long inChannels, long outChannels) => Math.Max((2 * inChannels) + outChannels, 4 * outChannels);

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">(batch, latent channels, height, width) of the latents.</param>
    protected override Tensor Compute(Tensor input, Tensor? latents)
    {
        var hidden = activate_(norm1.call(input, latents));
        hidden = conv1.call(hidden).Freeing(hidden);
        hidden = activate_(norm2.call(hidden, latents).Freeing(hidden));
        hidden = conv2.call(hidden).Freeing(hidden);
        return hidden.Plus_(conv_shortcut?.call(input) ?? input);
    }
}
