using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>The middle of an encoder or decoder: a residual block, attention where the config has it
/// (<c>mid_block_add_attention</c>), a residual block (diffusers' <c>UNetMidBlock2D</c>).</summary>
internal sealed class AutoencoderMidBlock : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<AutoencoderAttention> attentions = [];
    private readonly ModuleList<nn.Module<Tensor, Tensor?, Tensor>> resnets;

    public AutoencoderMidBlock(long channels, bool attention, AutoencoderLayers layers)
        : base(nameof(AutoencoderMidBlock))
    {
        resnets = new(layers.Resnet(channels, channels), layers.Resnet(channels, channels));
        if (attention)
        {
            attentions.Add(new AutoencoderAttention(channels, layers));
        }

        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">What spatial norms look at; else not used.</param>
    public override Tensor forward(Tensor input, Tensor? latents)
    {
        using var scope = NewDisposeScope();
        var hidden = resnets[0].call(input, latents);
        foreach (var attention in attentions)
        {
            hidden = hidden.Into(attention, latents);
        }

        return hidden.Into(resnets[1], latents).MoveToOuterDisposeScope();
    }
}
