using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>What the layers of one encoder or decoder have in common, and the choice that follows from it: plain group norms, or
/// norms that see the latents.</summary>
/// <param name="Groups">Groups of the plain norms (<c>norm_num_groups</c>).</param>
/// <param name="Activation">The activation's name (<c>act_fn</c>).</param>
/// <param name="LatentChannels">Channels of the latents that the norms see; null for plain norms.</param>
internal sealed record AutoencoderLayers(long Groups, string Activation, long? LatentChannels = null)
{
    /// <summary>The epsilon of every norm of an autoencoder.</summary>
    public const double Epsilon = 1e-6;

    /// <summary>Returns the norm over <paramref name="channels"/> channels: exactly one of the two.</summary>
    public (GroupNorm? Group, SpatialNorm? Spatial) Norm(long channels) =>
        LatentChannels is { } latents ? (null, new SpatialNorm(channels, latents)) : (new GroupNorm(Groups, channels, Epsilon), null);

    public nn.Module<Tensor, Tensor?, Tensor> Resnet(long inChannels, long outChannels) =>
        LatentChannels is { } latents
            ? new ResnetBlockCondNorm2D(inChannels, outChannels, latents, Activation)
            : new ResnetBlock2D(inChannels, outChannels, new ResnetSettings(Groups, Epsilon, Activation: Activation));

    /// <summary>Returns the most elements that a pass of <see cref="Resnet"/> makes for each pixel.</summary>
    public long ResnetPeakElements(long inChannels, long outChannels) => LatentChannels is null
        ? ResnetBlock2D.PeakElementsOf(inChannels, outChannels)
        : ResnetBlockCondNorm2D.PeakElementsOf(inChannels, outChannels);
}
