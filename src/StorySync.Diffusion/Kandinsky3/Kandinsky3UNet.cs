using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>The denoiser of Kandinsky 3 (diffusers' <c>Kandinsky3UNet</c>).</summary>
/// <remarks>Several runs may use one model at once.</remarks>
public sealed class Kandinsky3UNet : nn.Module<Kandinsky3Inputs, DenoisingContext, Tensor>
{
    // diffusers pairs these with the levels from the top on the way down, from the bottom on the way up: where there are fewer than four
    // levels, the top one has attention on the way up only.
    private static readonly bool[] Attends = [false, true, true, true];

    private readonly Timesteps time_proj;
    private readonly TimestepEmbedding time_embedding;
    private readonly Kandinsky3AttentionPooling add_time_condition;
    private readonly Conv2d conv_in;
    private readonly Kandinsky3EncoderProj encoder_hid_proj;
    private readonly ModuleList<Kandinsky3DownSampleBlock> down_blocks;
    private readonly ModuleList<Kandinsky3UpSampleBlock> up_blocks;
    private readonly GroupNorm conv_norm_out;
    private readonly Conv2d conv_out;

    /// <summary>Builds the model without weights: its parameters have shapes and take no memory.</summary>
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
        conv_norm_out = new GroupNorm(config.Groups, channels[0], epsilon: 1e-5);
        conv_out = new Conv2d(channels[0], config.InChannels, kernel: 3, padding: 1);
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>The model's configuration.</summary>
    public Kandinsky3UNetConfig Config { get; }

    /// <summary>The attention processors, by layer: <c>down_blocks.N.attentions.N.attention</c>, <c>up_blocks.N.attentions.N.attention</c>;
    /// <c>attentions.0</c> is self-attention, the others are cross-attention.</summary>
    public AttentionProcessors AttentionProcessors { get; }

    /// <summary>Height and width of the latents must be multiples of it.</summary>
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
        ModelFolder folder, string component = "unet", ScalarType dtype = ScalarType.Float32, Device? device = null, string? variant = null) =>
        folder.Load(component, (Kandinsky3UNetConfig config) => new Kandinsky3UNet(config), dtype, device, variant);

    /// <summary>Predicts the noise.</summary>
    /// <param name="input1">Latents, timestep and text.</param>
    /// <param name="input2">The run.</param>
    /// <returns>(batch, in_channels, height, width).</returns>
    /// <exception cref="ArgumentException">A tensor does not have the shape it must have.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public override Tensor forward(Kandinsky3Inputs input1, DenoisingContext input2)
    {
        ArgumentNullException.ThrowIfNull(input1);
        ArgumentNullException.ThrowIfNull(input2);
        Check(input1);
        using var scope = NewDisposeScope();
        var inputs = Conditions(input1, input2);

        var hidden = conv_in.call(input1.Sample.ChannelsLast());
        hidden = down_blocks[0].call(hidden, inputs);
        if (down_blocks.Count > 1)
        {
            hidden = Joined(input2.BlockCache is { } cache ? Cached(cache, hidden, inputs) : Deep(hidden, inputs), hidden);
        }

        hidden = hidden.Into(up_blocks[^1], inputs);
        return conv_out.call(conv_norm_out.call(hidden).silu_()).contiguous().MoveToOuterDisposeScope();
    }

    private static Tensor Joined(Tensor hidden, Tensor skip)
    {
        var joined = cat([hidden, skip], dim: 1);
        hidden.Dispose();
        skip.Dispose();
        return joined;
    }

    /// <summary>All blocks between the first and the last.</summary>
    private Tensor Deep(Tensor first, BlockInputs inputs)
    {
        var hidden = first;
        var levels = new Stack<Tensor>();
        foreach (var block in down_blocks.Skip(1))
        {
            hidden = block.call(hidden, inputs);
            levels.Push(hidden);
        }

        hidden = levels.Pop();
        foreach (var block in up_blocks.SkipLast(1))
        {
            hidden = hidden.Into(block, inputs);
            hidden = levels.TryPop(out var skip) ? Joined(hidden, skip) : hidden;
        }

        return hidden;
    }

    private Tensor Cached(BlockCache cache, Tensor first, BlockInputs inputs)
    {
        if (cache.Reuse(first, inputs.Context) is { } kept)
        {
            return kept.alias();
        }

        var deep = Deep(first, inputs);
        cache.Keep(deep, inputs.Context);
        return deep;
    }

    private BlockInputs Conditions(Kandinsky3Inputs inputs, DenoisingContext context)
    {
        var (batch, dtype) = (inputs.Sample.shape[0], inputs.Sample.dtype);
        var mask = BlockInputs.AdditiveMask(inputs.EncoderAttentionMask, dtype);
        var text = encoder_hid_proj.call(inputs.EncoderHiddenStates);
        var time = time_embedding.call(time_proj.call(inputs.Timestep.expand(batch)).to(dtype));
        return new BlockInputs(add_time_condition.call(time, text, mask), text, mask, context);
    }

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

        if (inputs.EncoderAttentionMask is { } mask && (mask.dim() != 2 || mask.shape[0] != text[0] || mask.shape[1] != text[1]))
        {
            throw new ArgumentException(
                $"EncoderAttentionMask is ({string.Join(", ", mask.shape)}); this text needs ({text[0]}, {text[1]}).");
        }
    }
}
