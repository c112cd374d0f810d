using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Sdxl;

/// <summary>The denoiser of SDXL, and of Stable Diffusion 1.5 and 2.1 (diffusers' <c>UNet2DConditionModel</c>).</summary>
public sealed class UNet2DConditionModel : nn.Module<UNetInputs, DenoisingContext, Tensor>
{
    private readonly Conv2d conv_in;
    private readonly Timesteps time_proj;
    private readonly TimestepEmbedding time_embedding;
    private readonly Timesteps? add_time_proj;
    private readonly TimestepEmbedding? add_embedding;
    private readonly ModuleList<DownBlock2D> down_blocks;
    private readonly MidBlock2D? mid_block;
    private readonly ModuleList<UpBlock2D> up_blocks;
    private readonly GroupNorm conv_norm_out;
    private readonly Conv2d conv_out;
    private readonly Func<Tensor, Tensor> activation;

    /// <summary>Builds the model without weights: its parameters have shapes and take no memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="NotSupportedException">The configuration asks for a part that this class does not have.</exception>
    public UNet2DConditionModel(UNet2DConditionConfig config)
        : base(nameof(UNet2DConditionModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        var channels = config.BlockOutChannels;
        var levels = channels.Count;
        var timeWidth = channels[0] * 4;
        var resnet = new ResnetSettings(
            config.NormNumGroups, config.NormEps, timeWidth, config.ActFn, config.ResnetTimeScaleShift == "scale_shift");

        conv_in = new Conv2d(config.InChannels, channels[0], config.ConvInKernel, padding: (config.ConvInKernel - 1) / 2);
        time_proj = new Timesteps(channels[0], config.FlipSinToCos, config.FreqShift);
        time_embedding = new TimestepEmbedding(channels[0], timeWidth, config.ActFn);
        if (config.AdditionEmbedType == "text_time")
        {
            add_time_proj = new Timesteps(config.AdditionTimeEmbedDim!.Value, config.FlipSinToCos, config.FreqShift);
            add_embedding = new TimestepEmbedding(config.ProjectionClassEmbeddingsInputDim!.Value, timeWidth);
        }

        var layers = config.LayersPerBlock.For(levels);
        var heads = config.AttentionHeadDim.For(levels);
        var textWidths = config.CrossAttentionDim.For(levels);
        var crossOnly = config.OnlyCrossAttention.For(levels);
        var depths = config.TransformerLayersPerBlock.For(levels);
        var upDepths = config.ReverseTransformerLayersPerBlock?.For(levels) ?? [.. depths.Reverse()];

        // For each resnet of a level the transformer behind it; in a level without attention there is none.
        Transformer2DModel?[] Transformers(int level, bool present, int resnets, OneOrMany<int> depth, bool onlyCrossAttention) => present
            ? [.. depth.For(resnets).Select(blocks => new Transformer2DModel(
                channels[level],
                heads[level],
                blocks,
                new TransformerSettings(textWidths[level], config.NormNumGroups, config.UseLinearProjection, onlyCrossAttention)))]
            : new Transformer2DModel?[resnets];

        down_blocks = new([.. Enumerable.Range(0, levels).Select(level => new DownBlock2D(
            channels[Math.Max(level - 1, 0)],
            channels[level],
            resnet,
            Transformers(level, config.DownBlockTypes[level] == "CrossAttnDownBlock2D", layers[level], depths[level], crossOnly[level]),
            level < levels - 1 ? config.DownsamplePadding : null))]);

        mid_block = config.MidBlockType is null ? null : new MidBlock2D(
            channels[^1],
            resnet with { OutputScale = config.MidBlockScaleFactor },
            Transformers(levels - 1, true, 1, depths[^1], false)[0]!);

        up_blocks = new([.. Enumerable.Range(0, levels).Reverse().Select(level => new UpBlock2D(
            channels[Math.Min(level + 1, levels - 1)],
            channels[Math.Max(level - 1, 0)],
            channels[level],
            resnet,
            Transformers(
                level, config.UpBlockTypes[levels - 1 - level] == "CrossAttnUpBlock2D", layers[level] + 1, upDepths[levels - 1 - level], crossOnly[level]),
            level > 0))]);

        conv_norm_out = new GroupNorm(config.NormNumGroups, channels[0], config.NormEps);
        conv_out = new Conv2d(channels[0], config.OutChannels, config.ConvOutKernel, padding: (config.ConvOutKernel - 1) / 2);
        activation = Activation.ByName(config.ActFn);
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>The model's configuration.</summary>
    public UNet2DConditionConfig Config { get; }

    /// <summary>The attention processors, by layer.</summary>
    public AttentionProcessors AttentionProcessors { get; }

    /// <summary>Loads the model from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it.</param>
    /// <param name="dtype">The type to compute in; float32 by default.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static UNet2DConditionModel Load(
        ModelFolder folder, string component = "unet", ScalarType dtype = ScalarType.Float32, Device? device = null, string? variant = null) =>
        folder.Load(component, (UNet2DConditionConfig config) => new UNet2DConditionModel(config), dtype, device, variant);

    /// <summary>Predicts the noise (or what else the model was trained to predict).</summary>
    /// <param name="input1">Latents, timestep and conditions.</param>
    /// <param name="input2">The run.</param>
    /// <returns>(batch, out channels, height, width).</returns>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public override Tensor forward(UNetInputs input1, DenoisingContext input2)
    {
        ArgumentNullException.ThrowIfNull(input1);
        ArgumentNullException.ThrowIfNull(input2);
        using var scope = NewDisposeScope();
        var sample = Config.CenterInputSample ? (2 * input1.Sample) - 1 : input1.Sample;
        var mask = BlockInputs.AdditiveMask(input1.EncoderAttentionMask, sample.dtype);
        var inputs = new BlockInputs(TimeEmbedding(input1), input1.EncoderHiddenStates, mask, input2);

        var skips = new Stack<Tensor>();
        var hidden = conv_in.call(sample.ChannelsLast());
        skips.Push(hidden);
        hidden = down_blocks[0].call(hidden, inputs, skips);
        hidden = input2.BlockCache is { } cache && down_blocks.Count > 1 ? Cached(cache, hidden, inputs, skips) : Deep(hidden, inputs, skips);
        hidden = up_blocks[^1].call(hidden, inputs, skips);
        return conv_out.call(activation(conv_norm_out.call(hidden))).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>All blocks between the first and the last.</summary>
    private Tensor Deep(Tensor hidden, BlockInputs inputs, Stack<Tensor> skips)
    {
        foreach (var block in down_blocks.Skip(1))
        {
            hidden = block.call(hidden, inputs, skips);
        }

        hidden = mid_block?.call(hidden, inputs) ?? hidden.alias();
        foreach (var block in up_blocks.SkipLast(1))
        {
            hidden = block.call(hidden, inputs, skips);
        }

        return hidden;
    }

    private Tensor Cached(BlockCache cache, Tensor hidden, BlockInputs inputs, Stack<Tensor> skips)
    {
        if (cache.Reuse(hidden, inputs.Context) is { } deep)
        {
            // The first block's last skip, which is its result, is for the blocks that are left out.
            skips.Pop().Dispose();
            return deep.alias();
        }

        hidden = Deep(hidden, inputs, skips);
        cache.Keep(hidden, inputs.Context);
        return hidden;
    }

    private Tensor TimeEmbedding(UNetInputs inputs)
    {
        var batch = inputs.Sample.shape[0];
        var dtype = inputs.Sample.dtype;
        var embedding = time_embedding.call(time_proj.call(inputs.Timestep.expand(batch)).to(dtype));
        if (add_time_proj is null || add_embedding is null)
        {
            return embedding;
        }

        var (text, ids) = (inputs.TextEmbeds, inputs.TimeIds);
        if (text is null || ids is null)
        {
            throw new ArgumentException("This model has added conditions (addition_embed_type \"text_time\"): it needs TextEmbeds and TimeIds.", nameof(inputs));
        }

        var times = add_time_proj.call(ids.flatten()).reshape(batch, -1);
        return embedding + add_embedding.call(cat([text, times], dim: -1).to(dtype));
    }
}

/// <summary>What a UNet's forward pass takes.</summary>
/// <param name="Sample">Noisy latents, (batch, in channels, height, width), in the dtype of the weights.</param>
/// <param name="Timestep">One timestep for all rows, (), or one a row, (batch); fractions are allowed.</param>
/// <param name="EncoderHiddenStates">The encoded prompts, (batch, tokens, cross_attention_dim).</param>
public sealed record UNetInputs(Tensor Sample, Tensor Timestep, Tensor EncoderHiddenStates)
{
    /// <summary>The pooled prompts, (batch, width); needed by models with added conditions (SDXL).</summary>
    public Tensor? TextEmbeds { get; init; }

    /// <summary>Original height and width, crop top and left, target height and width, (batch, 6); needed by models with added
    /// conditions (SDXL).</summary>
    public Tensor? TimeIds { get; init; }

    /// <summary>1 for each text token that counts, 0 for the others, (batch, tokens); null when all do.</summary>
    public Tensor? EncoderAttentionMask { get; init; }
}
