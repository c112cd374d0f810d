using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>A group norm whose scale and shift come, place by place, from the latents (diffusers' <c>SpatialNorm</c>; MoVQ,
/// arXiv 2209.09002, section 3.2). It has 32 groups and epsilon 1e-6 whatever the config says.</summary>
internal sealed class SpatialNorm : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly GroupNorm norm_layer;
    private readonly Conv2d conv_y;
    private readonly Conv2d conv_b;

    public SpatialNorm(long channels, long latentChannels)
        : base(nameof(SpatialNorm))
    {
        norm_layer = new GroupNorm(groups: 32, channels, epsilon: 1e-6, entry: "groups of a spatial norm");
        conv_y = new Conv2d(latentChannels, channels, kernel: 1);
        conv_b = new Conv2d(latentChannels, channels, kernel: 1);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">(batch, latent channels, any height, any width); resized by nearest neighbor.</param>
    protected override Tensor Compute(Tensor input, Tensor? latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        var resized = nn.functional.interpolate(latents, size: [input.shape[2], input.shape[3]], mode: InterpolationMode.Nearest);
        var (output, scale) = (norm_layer.call(input), conv_y.call(resized));
        output = output.mul_(scale).Freeing(scale);
        return output.Plus_(conv_b.call(resized));
    }
}
