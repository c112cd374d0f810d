using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Represents the denoiser of Kandinsky 3 (diffusers' <c>Kandinsky3UNet</c>).</summary>
/// <remarks>Several runs can use one model simultaneously.</remarks>
public sealed class Kandinsky3UNet : nn.Module<Kandinsky3Inputs, DenoisingContext, Tensor>
{
    // diffusers pairs these with the levels from the top on the way down, from the bottom on the way up: where there are fewer than four
    // levels, the top one has attention on the way up only.
    private static readonly bool[] Attends = [false, true, true, true];

    private readonly RunGate runs = new(typeof(Kandinsky3UNet));
    private readonly Timesteps time_proj;
    private readonly TimestepEmbedding time_embedding;
    private readonly Kandinsky3AttentionPooling add_time_condition;
    private readonly Conv2d conv_in;
    private readonly Kandinsky3EncoderProj encoder_hid_proj;
    private readonly ModuleList<Kandinsky3DownSampleBlock> down_blocks;
    private readonly ModuleList<Kandinsky3UpSampleBlock> up_blocks;
    private readonly GroupNorm conv_norm_out;
    private readonly Conv2d conv_out;

    /// <summary>Initializes a new instance of the <see cref="Kandinsky3UNet"/> class without weights: its parameters have shapes and take
    /// no memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="ArgumentException">Its numbers do not fit together.</exception>
    public Kandinsky3UNet(Kandinsky3UNetConfig config)
        : base(nameof(Kandinsky3UNet))
    {
        ArgumentNullException.ThrowIfNull(config);
        var levels = config.BlockOutChannels.Count;
        if (levels == 0 || levels > Attends.Length)
        {
            throw new ArgumentException($"block_out_channels has {levels} levels; there must be 1 to {Attends.Length}.", nameof(config));
        }

        Config = config;
        long[] channels = [config.BlockOutChannels[0] / 2, .. config.BlockOutChannels];
        var settings = new Kandinsky3Settings(config.TimeEmbeddingDim, config.CrossAttentionDim, config.Groups, config.AttentionHeadDim);

        time_proj = new Timesteps(channels[0], flipSinToCos: false, frequencyShift: 1);
        time_embedding = new TimestepEmbedding(channels[0], config.TimeEmbeddingDim);
        add_time_condition = new Kandinsky3AttentionPooling(settings);
        conv_in = new Conv2d(config.InChannels, channels[0], kernel: 3, padding: 1);
        encoder_hid_proj = new Kandinsky3EncoderProj(config.EncoderHidDim, config.CrossAttentionDim);
        down_blocks = new([.. Enumerable.Range(0, levels).Select(level => new Kandinsky3DownSampleBlock(
            channels[level], channels[level + 1], config.LayersPerBlock, settings, Attends[level], downSample: level < levels - 1))]);
        up_blocks = new([.. Enumerable.Range(0, levels).Select(i =>
        {
            var level = levels - 1 - i;
            var skipChannels = i == 0 ? 0 : channels[level + 1];
            return new Kandinsky3UpSampleBlock(
                channels[level + 1], skipChannels, channels[level], config.LayersPerBlock, settings, Attends[^(i + 1)], upSample: i > 0);
        })]);
        conv_norm_out = new GroupNorm(config.Groups, channels[0], epsilon: 1e-5, entry: "groups");
        conv_out = new Conv2d(channels[0], config.InChannels, kernel: 3, padding: 1);
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>Gets the model's configuration.</summary>
    public Kandinsky3UNetConfig Config { get; }

    /// <summary>Gets the attention processors, by layer: <c>down_blocks.N.attentions.N.attention</c>,
    /// <c>up_blocks.N.attentions.N.attention</c>; <c>attentions.0</c> is self-attention, the others are cross-attention.</summary>
    public AttentionProcessors AttentionProcessors { get; }

    /// <summary>Gets the number that the height and width of the latents must be multiples of.</summary>
    public int SizeMultiple => 1 << (Config.BlockOutChannels.Count - 1);

    /// <summary>Loads the model from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it; empty where the folder is the model's own.</param>
    /// <param name="dtype">The type to compute in; float32 by default.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static Kandinsky3UNet Load(
        ModelFolder folder,
        string component = "unet",
        ScalarType dtype = ScalarType.Float32,
        Device? device = null,
        string? variant = null) =>
        folder.Load(component, (Kandinsky3UNetConfig config) => new Kandinsky3UNet(config), dtype, device, variant);

    /// <summary>Predicts the noise.</summary>
    /// <param name="inputs">Latents, timestep and text.</param>
    /// <param name="context">The denoising context.</param>
    /// <returns>(batch, in_channels, height, width).</returns>
    /// <exception cref="ArgumentException">A tensor does not have the shape it must have.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override Tensor forward(Kandinsky3Inputs inputs, DenoisingContext context)
    {
        using var run = runs.Enter();
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(context);
        Check(inputs);
        using var scope = NewDisposeScope();
        var dtype = inputs.Sample.dtype;
        var absent = inputs.TextLengths is { } lengths
            ? Arithmetic.Arange(0, inputs.EncoderHiddenStates.shape[1], device: lengths.device).unsqueeze(0) >= lengths.unsqueeze(1)
            : null;
        var mask = BlockContext.AdditiveMask(inputs.EncoderAttentionMask, dtype);
        if (absent is not null)
        {
            // In a row of which no token counts all count alike; these are below even that.
            mask = (mask ?? zeros(1, dtype: dtype, device: absent.device)).Plus(absent.to(dtype).Times(-20000.0).unsqueeze(1).unsqueeze(1));
        }

        var text = encoder_hid_proj.call(inputs.EncoderHiddenStates);
        var time = time_embedding.call(time_proj.call(inputs.Timestep.expand(inputs.Sample.shape[0])).to(dtype));
        var block = new BlockContext(add_time_condition.call(time, text, mask, absent), text, mask, context);

        var blocks = new Blocks(this, conv_in.call(inputs.Sample.ChannelsLast()), block);
        block.Driver.Run(blocks);
        return conv_out.call(ImageByImage.SiluInPlace(conv_norm_out.call(blocks.Hidden))).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    /// <summary>Gets the peak of a forward pass.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="height">The height of the latents.</param>
    /// <param name="width">The width of the latents.</param>
    internal ActivationPeak PeakElements(long rows, int height, int width)
    {
        var (count, levels) = (new ActivationCount(), down_blocks.Count);

        // The last level is as large as the one before: only between levels is there resampling.
        double Pixels(int level) => (double)rows * (height >> Math.Min(level, levels - 1)) * (width >> Math.Min(level, levels - 1));

        foreach (var (level, block) in down_blocks.Index())
        {
            block.Count(count, $"down_blocks.{level}", Pixels(level), Pixels(level + 1));
        }

        foreach (var (i, block) in up_blocks.Index())
        {
            block.Count(count, $"up_blocks.{i}", Pixels(levels - i), Pixels(levels - 1 - i));
        }

        return count.Peak.Or(new(nameof(conv_norm_out), Pixels(0) * 3 * Config.BlockOutChannels[0] / 2));
    }

    /// <summary>Gets the elements that a block cache keeps of a row: what comes out of the first block, and what goes into the last with
    /// it.</summary>
    /// <param name="height">The height of the latents.</param>
    /// <param name="width">The width of the latents.</param>
    internal long BlockCacheElements(int height, int width) =>
        Config.BlockOutChannels.Count > 1 ? 2L * Config.BlockOutChannels[0] * (height / 2) * (width / 2) : 0;

    private void Check(Kandinsky3Inputs inputs)
    {
        var (sample, text) = (inputs.Sample.shape, inputs.EncoderHiddenStates.shape);
        if (sample.Length != 4 || sample[1] != Config.InChannels || sample[2] % SizeMultiple != 0 || sample[3] % SizeMultiple != 0)
        {
            throw new ArgumentException(
                $"Sample is ({string.Join(", ", sample)}); this model needs (batch, {Config.InChannels}, height, width), "
                + $"height and width multiples of {SizeMultiple}.");
        }

        if (text.Length != 3 || text[0] != sample[0] || text[2] != Config.EncoderHidDim)
        {
            throw new ArgumentException(
                $"EncoderHiddenStates is ({string.Join(", ", text)}); "
                + $"this model and sample need ({sample[0]}, tokens, {Config.EncoderHidDim}).");
        }

        if (inputs.TextLengths is { } lengths && !lengths.shape.SequenceEqual([sample[0]]))
        {
            throw new ArgumentException($"TextLengths is ({string.Join(", ", lengths.shape)}); this sample needs ({sample[0]}).");
        }

        if (inputs.EncoderAttentionMask is { } mask && (mask.dim() != 2 || mask.shape[0] != text[0] || mask.shape[1] != text[1]))
        {
            throw new ArgumentException(
                $"EncoderAttentionMask is ({string.Join(", ", mask.shape)}); this text needs ({text[0]}, {text[1]}).");
        }
    }

    /// <summary>The blocks in one forward pass.</summary>
    private sealed class Blocks(Kandinsky3UNet model, Tensor hidden, BlockContext context) : IBlockSequence
    {
        private readonly Stack<Tensor> skips = [];

        public Tensor Hidden { get; private set; } = hidden;

        public bool IsResidual => false;

        public bool CanSkip => model.down_blocks.Count > 1;

        public void First()
        {
            Hidden = model.down_blocks[0].call(Hidden, context).Freeing(Hidden);
            skips.Push(Hidden);
        }

        public void Middle()
        {
            foreach (var block in model.down_blocks.Skip(1))
            {
                Hidden = block.call(Hidden, context);
                skips.Push(Hidden);
            }

            // The deepest result is where the way up begins; the others are joined on it.
            skips.Pop();
            foreach (var (i, block) in model.up_blocks.SkipLast(1).Index())
            {
                Hidden = i == 0 ? Hidden : Join();
                Hidden = block.call(Hidden, context).Freeing(Hidden);
            }
        }

        public void Last()
        {
            Hidden = model.up_blocks.Count == 1 ? Hidden : Join();
            Hidden = model.up_blocks[^1].call(Hidden, context).Freeing(Hidden);
        }

        public void Skip(Tensor hidden) => Hidden = hidden;

        private Tensor Join()
        {
            var skip = skips.Pop();

            // The strides of a single row can be such that libtorch puts channels first in what it joins.
            using var joined = cat([Hidden, skip], dim: 1).Freeing(Hidden, skip);
            return joined.ChannelsLast();
        }
    }
}
