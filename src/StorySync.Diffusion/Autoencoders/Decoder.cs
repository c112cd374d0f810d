using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>From latents to an image (diffusers' <c>Decoder</c> of autoencoders).</summary>
internal sealed class Decoder : ScopedModule<Tensor, Tensor?, CancellationToken, Tensor>
{
    private readonly Conv2d conv_in;
    private readonly ModuleList<AutoencoderBlock> up_blocks = [];
    private readonly AutoencoderMidBlock mid_block;
    private readonly nn.Module conv_norm_out;
    private readonly Conv2d conv_out;

    /// <param name="config">The sizes.</param>
    /// <param name="spatialNorms">Whether the norms look at the latents.</param>
    public Decoder(ConvolutionalAutoencoderConfig config, bool spatialNorms = false)
        : base(nameof(Decoder))
    {
        long[] channels = [.. config.BlockOutChannels.Reverse()];
        var layers = new AutoencoderLayers(config.NormNumGroups, config.ActFn, spatialNorms ? config.LatentChannels : null);
        conv_in = new Conv2d(config.LatentChannels, channels[0], kernel: 3, padding: 1);
        mid_block = new AutoencoderMidBlock(channels[0], config.MidBlockAddAttention, layers);
        for (var i = 0; i < channels.Length; i++)
        {
            var attention = config.UpBlockTypes[i] == "AttnUpDecoderBlock2D";
            var resampling = i < channels.Length - 1 ? Resampling.Up : Resampling.None;
            var before = channels[Math.Max(i - 1, 0)];
            up_blocks.Add(new AutoencoderBlock(before, channels[i], config.LayersPerBlock + 1, attention, resampling, layers));
        }

        var (group, spatial) = layers.Norm(channels[^1]);
        conv_norm_out = spatial ?? (nn.Module)group!;
        conv_out = new Conv2d(channels[^1], config.OutChannels, kernel: 3, padding: 1);
        RegisterComponents();
    }

    public ScalarType Dtype => conv_in.Dtype;

    /// <param name="latents">(batch, latent channels, height, width).</param>
    /// <param name="condition">What spatial norms look at: latents of the same shape. Null without such norms.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    protected override Tensor Compute(Tensor latents, Tensor? condition, CancellationToken cancellationToken)
    {
        var hidden = latents.ChannelsLast();
        hidden = conv_in.call(hidden).Freeing(hidden);
        hidden = mid_block.call(hidden, condition).Freeing(hidden);
        foreach (var block in up_blocks)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hidden = block.call(hidden, condition).Freeing(hidden);
        }

        cancellationToken.ThrowIfCancellationRequested();
        var normed = conv_norm_out is SpatialNorm spatial ? spatial.call(hidden, condition) : ((GroupNorm)conv_norm_out).call(hidden);
        return conv_out.call(normed.Freeing(hidden).silu_());
    }
}
