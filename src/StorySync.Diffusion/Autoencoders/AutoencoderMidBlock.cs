using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>The middle of an encoder or decoder: a residual block, attention where the config has it
/// (<c>mid_block_add_attention</c>), a residual block (diffusers' <c>UNetMidBlock2D</c>).</summary>
internal sealed class AutoencoderMidBlock : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<AutoencoderAttention>? attentions;
    private readonly ModuleList<nn.Module<Tensor, Tensor?, Tensor>> resnets;

    public AutoencoderMidBlock(long channels, bool attention, AutoencoderLayers layers)
        : base(nameof(AutoencoderMidBlock))
    {
        resnets = new(layers.Resnet(channels, channels), layers.Resnet(channels, channels));
        attentions = attention ? new(new AutoencoderAttention(channels, layers)) : null;
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">What spatial norms look at; else not used.</param>
    protected override Tensor Compute(Tensor input, Tensor? latents)
    {
        var hidden = resnets[0].call(input, latents);
        hidden = attentions?[0].call(hidden, latents).Freeing(hidden) ?? hidden;
        return resnets[1].call(hidden, latents);
    }
}
