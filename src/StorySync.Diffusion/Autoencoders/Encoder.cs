using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>From an image to latents (diffusers' <c>Encoder</c> of autoencoders).</summary>
internal sealed class Encoder : ScopedModule<Tensor, CancellationToken, Tensor>
{
    private readonly Conv2d conv_in;
    private readonly ModuleList<AutoencoderBlock> down_blocks = [];
    private readonly AutoencoderMidBlock mid_block;
    private readonly GroupNorm conv_norm_out;
    private readonly Conv2d conv_out;

    /// <param name="config">The sizes.</param>
    /// <param name="outChannels">Channels of the result.</param>
    public Encoder(ConvolutionalAutoencoderConfig config, long outChannels)
        : base(nameof(Encoder))
    {
        var channels = config.BlockOutChannels;
        var layers = new AutoencoderLayers(config.NormNumGroups, config.ActFn);
        conv_in = new Conv2d(config.InChannels, channels[0], kernel: 3, padding: 1);
        for (var i = 0; i < channels.Count; i++)
        {
            var attention = config.DownBlockTypes[i] == "AttnDownEncoderBlock2D";
            var resampling = i < channels.Count - 1 ? Resampling.Down : Resampling.None;
            var before = channels[Math.Max(i - 1, 0)];
            down_blocks.Add(new AutoencoderBlock(before, channels[i], config.LayersPerBlock, attention, resampling, layers));
        }

        mid_block = new AutoencoderMidBlock(channels[^1], config.MidBlockAddAttention, layers);
        conv_norm_out = new GroupNorm(config.NormNumGroups, channels[^1], AutoencoderLayers.Epsilon);
        conv_out = new Conv2d(channels[^1], outChannels, kernel: 3, padding: 1);
        RegisterComponents();
    }

    public ScalarType Dtype => conv_in.Dtype;

    /// <param name="image">(batch, channels, height, width).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between blocks.</param>
    protected override Tensor Compute(Tensor image, CancellationToken cancellationToken)
    {
        var hidden = image.ChannelsLast();
        hidden = conv_in.call(hidden).Freeing(hidden);
        foreach (var block in down_blocks)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hidden = block.call(hidden, null).Freeing(hidden);
        }

        cancellationToken.ThrowIfCancellationRequested();
        hidden = mid_block.call(hidden, null).Freeing(hidden);
        hidden = conv_norm_out.call(hidden).Freeing(hidden);
        return conv_out.call(hidden.silu_());
    }
}
