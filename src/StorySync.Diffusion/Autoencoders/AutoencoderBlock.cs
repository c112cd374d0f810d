using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>One level of an encoder or decoder: residual blocks, each followed by attention where the level has any, then the way
/// to the next level (diffusers' <c>DownEncoderBlock2D</c>, <c>AttnDownEncoderBlock2D</c>, <c>UpDecoderBlock2D</c> and
/// <c>AttnUpDecoderBlock2D</c>).</summary>
internal sealed class AutoencoderBlock : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor?, Tensor>> resnets;
    private readonly ModuleList<AutoencoderAttention>? attentions;
    private readonly ModuleList<Downsample2D>? downsamplers;
    private readonly ModuleList<Upsample2D>? upsamplers;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="count">Number of residual blocks.</param>
    /// <param name="attention">Whether attention follows each of them.</param>
    /// <param name="resampling">What comes last.</param>
    /// <param name="layers">What all layers of the encoder or decoder have in common.</param>
    public AutoencoderBlock(long inChannels, long outChannels, int count, bool attention, Resampling resampling, AutoencoderLayers layers)
        : base(nameof(AutoencoderBlock))
    {
        var each = Enumerable.Range(0, count);
        resnets = new([.. each.Select(i => layers.Resnet(i == 0 ? inChannels : outChannels, outChannels))]);
        attentions = attention ? new([.. each.Select(_ => new AutoencoderAttention(outChannels, layers))]) : null;
        downsamplers = resampling == Resampling.Down ? new(new Downsample2D(outChannels, padding: 0)) : null;
        upsamplers = resampling == Resampling.Up ? new(new Upsample2D(outChannels)) : null;
        RegisterComponents();
    }

    /// <summary>Returns the most elements that the tensors of a pass take together for each pixel of the input, which is there until the
    /// pass is over.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="resampling">What comes last, if it is not <see cref="Resampling.Down"/>.</param>
    /// <param name="layers">What all layers of the decoder have in common.</param>
    /// <param name="enlarges">Whether images are enlarged in memory before a convolution, and not by it.</param>
    public static long PeakElements(long inChannels, long outChannels, Resampling resampling, AutoencoderLayers layers, bool enlarges) =>
        inChannels + Math.Max(
            layers.ResnetPeakElements(inChannels, outChannels),
            resampling == Resampling.Up ? Upsample2D.PeakElements(enlarges) * outChannels : 0);

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">What spatial norms look at; else not used.</param>
    protected override Tensor Compute(Tensor input, Tensor? latents)
    {
        var hidden = input.alias();
        foreach (var (i, resnet) in resnets.Index())
        {
            hidden = resnet.call(hidden, latents).Freeing(hidden);
            hidden = attentions?[i].call(hidden, latents).Freeing(hidden) ?? hidden;
        }

        hidden = downsamplers?[0].call(hidden).Freeing(hidden) ?? hidden;
        return upsamplers?[0].call(hidden, null).Freeing(hidden) ?? hidden;
    }
}
