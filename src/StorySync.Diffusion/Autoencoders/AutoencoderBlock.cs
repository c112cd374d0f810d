using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>One level of an encoder or decoder: residual blocks, each followed by attention where the level has any, then the way
/// to the next level (diffusers' <c>DownEncoderBlock2D</c>, <c>AttnDownEncoderBlock2D</c>, <c>UpDecoderBlock2D</c> and
/// <c>AttnUpDecoderBlock2D</c>).</summary>
internal sealed class AutoencoderBlock : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor?, Tensor>> resnets = [];
    private readonly ModuleList<AutoencoderAttention> attentions = [];
    private readonly ModuleList<Downsample2D> downsamplers = [];
    private readonly ModuleList<Upsample2D> upsamplers = [];

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="count">Number of residual blocks.</param>
    /// <param name="attention">Whether attention follows each of them.</param>
    /// <param name="resampling">What comes last.</param>
    /// <param name="layers">What all layers of the encoder or decoder have in common.</param>
    public AutoencoderBlock(long inChannels, long outChannels, int count, bool attention, Resampling resampling, AutoencoderLayers layers)
        : base(nameof(AutoencoderBlock))
    {
        for (var i = 0; i < count; i++)
        {
            resnets.Add(layers.Resnet(i == 0 ? inChannels : outChannels, outChannels));
            if (attention)
            {
                attentions.Add(new AutoencoderAttention(outChannels, layers));
            }
        }

        switch (resampling)
        {
            case Resampling.Halve:
                downsamplers.Add(new Downsample2D(outChannels, padding: 0));
                break;
            case Resampling.Double:
                upsamplers.Add(new Upsample2D(outChannels));
                break;
        }

        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">What spatial norms look at; else not used.</param>
    public override Tensor forward(Tensor input, Tensor? latents)
    {
        using var scope = NewDisposeScope();
        var hidden = input.alias();
        for (var i = 0; i < resnets.Count; i++)
        {
            hidden = hidden.Into(resnets[i], latents);
            if (attentions.Count > 0)
            {
                hidden = hidden.Into(attentions[i], latents);
            }
        }

        foreach (var downsampler in downsamplers)
        {
            hidden = hidden.Into(downsampler);
        }

        foreach (var upsampler in upsamplers)
        {
            hidden = hidden.Into(upsampler, null);
        }

        return hidden.MoveToOuterDisposeScope();
    }
}

/// <summary>What leads from one level of an autoencoder to the next.</summary>
internal enum Resampling
{
    /// <summary>Nothing: the last level.</summary>
    None,

    /// <summary>To half the height and width.</summary>
    Halve,

    /// <summary>To twice the height and width.</summary>
    Double,
}
