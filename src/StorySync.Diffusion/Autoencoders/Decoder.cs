using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Kernels;
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
    public Decoder(ConvolutionalAutoencoderConfig config)
        : base(nameof(Decoder))
    {
        var (layers, levels) = (LayersOf(config), LevelsOf(config));
        conv_in = new Conv2d(config.LatentChannels, levels[0].In, kernel: 3, padding: 1);
        mid_block = new AutoencoderMidBlock(levels[0].In, config.MidBlockAddAttention, layers);
        foreach (var (i, level) in levels.Index())
        {
            var attention = config.UpBlockTypes[i] == "AttnUpDecoderBlock2D";
            up_blocks.Add(new AutoencoderBlock(level.In, level.Out, config.LayersPerBlock + 1, attention, level.Resampling, layers));
        }

        var (group, spatial) = layers.Norm(levels[^1].Out);
        conv_norm_out = spatial ?? (nn.Module)group!;
        conv_out = new Conv2d(levels[^1].Out, config.OutChannels, kernel: 3, padding: 1);
        RegisterComponents();
    }

    public ScalarType Dtype => conv_in.Dtype;

    /// <summary>Returns the moment of a pass at which the tensors that it made take most memory.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="pixels">Height times width of the image.</param>
    /// <param name="enlarges">Whether images are enlarged in memory before a convolution, and not by it.</param>
    public static ActivationPeak PeakElements(ConvolutionalAutoencoderConfig config, double pixels, bool enlarges)
    {
        var (layers, levels) = (LayersOf(config), LevelsOf(config));
        var peak = new ActivationPeak("", 0);
        foreach (var (i, level) in levels.Index())
        {
            var area = pixels / Math.Pow(4, levels.Count - 1 - i);
            var elements = AutoencoderBlock.PeakElements(level.In, level.Out, level.Resampling, layers, enlarges);
            peak = peak.Or(new($"decoder.up_blocks.{i}", area * elements));
        }

        return peak;
    }

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

    private static AutoencoderLayers LayersOf(ConvolutionalAutoencoderConfig config) =>
        new(config.NormNumGroups, config.ActFn, config is VQModelConfig { NormType: "spatial" } ? config.LatentChannels : null);

    /// <summary>From the coarsest to the finest.</summary>
    private static List<(long In, long Out, Resampling Resampling)> LevelsOf(ConvolutionalAutoencoderConfig config)
    {
        int[] channels = [.. config.BlockOutChannels.Reverse()];
        return [.. channels.Select((width, i) =>
            ((long)channels[Math.Max(i - 1, 0)], (long)width, i < channels.Length - 1 ? Resampling.Up : Resampling.None))];
    }
}
