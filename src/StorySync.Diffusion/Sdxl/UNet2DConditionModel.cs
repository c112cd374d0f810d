using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Sdxl;

/// <summary>Represents the denoiser of SDXL, and of Stable Diffusion 1.5 and 2.1 (diffusers' <c>UNet2DConditionModel</c>).</summary>
public sealed class UNet2DConditionModel : nn.Module<UNetInputs, DenoisingContext, Tensor>
{
    private readonly RunGate runs = new(typeof(UNet2DConditionModel));
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

    /// <summary>Initializes a new instance of the <see cref="UNet2DConditionModel"/> class without weights: its parameters have shapes and
    /// take no memory.</summary>
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
        time_embedding = new TimestepEmbedding(channels[0], timeWidth, config.ActFn, config.TimeCondProjDim);
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

        // For each resnet of a level the transformer after it; in a level without attention there is none.
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
            // Of a list, which is for the resnets of a level, the middle takes the first.
            Transformers(levels - 1, true, 1, depths[^1][0], false)[0]!);

        up_blocks = new([.. Enumerable.Range(0, levels).Reverse().Select(level => new UpBlock2D(
            channels[Math.Min(level + 1, levels - 1)],
            channels[Math.Max(level - 1, 0)],
            channels[level],
            resnet,
            Transformers(
                level, config.UpBlockTypes[levels - 1 - level] == "CrossAttnUpBlock2D", layers[level] + 1, upDepths[levels - 1 - level],
                    crossOnly[level]),
            level > 0))]);

        conv_norm_out = new GroupNorm(config.NormNumGroups, channels[0], config.NormEps);
        conv_out = new Conv2d(channels[0], config.OutChannels, config.ConvOutKernel, padding: (config.ConvOutKernel - 1) / 2);
        activation = Activation.ByName(config.ActFn);
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>Gets the model's configuration.</summary>
    public UNet2DConditionConfig Config { get; }

    /// <summary>Gets the attention processors, by layer.</summary>
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
        ModelFolder folder, string component = "unet", ScalarType dtype = ScalarType.Float32, Device? device = null,
            string? variant = null) =>
        folder.Load(component, (UNet2DConditionConfig config) => new UNet2DConditionModel(config), dtype, device, variant);

    /// <summary>Predicts the noise (or what else the model was trained to predict).</summary>
    /// <param name="inputs">Latents, timestep and conditions.</param>
    /// <param name="context">The denoising context.</param>
    /// <returns>(batch, out channels, height, width).</returns>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override Tensor forward(UNetInputs inputs, DenoisingContext context)
    {
        using var run = runs.Enter();
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(context);
        using var scope = NewDisposeScope();
        var sample = Config.CenterInputSample ? inputs.Sample.Times(2).Minus(1) : inputs.Sample;
        var mask = BlockContext.AdditiveMask(inputs.EncoderAttentionMask, sample.dtype);
        var block = new BlockContext(TimeEmbedding(inputs), inputs.EncoderHiddenStates, mask, context);

        var blocks = new Blocks(this, conv_in.call(sample.ChannelsLast()), block);
        block.Driver.Run(blocks);
        return conv_out.call(activation(conv_norm_out.call(blocks.Hidden))).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    /// <summary>Gets the peak of a forward pass. Sharing adds nothing to it: a transformer block holds more in its feed-forward part than
    /// attention gathers.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="height">The height of the latents.</param>
    /// <param name="width">The width of the latents.</param>
    /// <param name="fusesGates">Whether one kernel projects and gates in the feed-forward parts.</param>
    internal ActivationPeak PeakElements(long rows, int height, int width, bool fusesGates)
    {
        var (count, levels, channels) = (new ActivationCount { FusesGates = fusesGates }, down_blocks.Count, Config.BlockOutChannels[0]);
        double Pixels(int level) => rows * Math.Ceiling(height / Math.Pow(2, level)) * Math.Ceiling(width / Math.Pow(2, level));

        count.Keep(channels * Pixels(0));
        foreach (var (level, block) in down_blocks.Index())
        {
            block.Count(count, $"down_blocks.{level}", Pixels(level), Pixels(level + 1));
        }

        mid_block?.Count(count, nameof(mid_block), Pixels(levels - 1));
        foreach (var (i, block) in up_blocks.Index())
        {
            block.Count(count, $"up_blocks.{i}", Pixels(levels - 1 - i), Pixels(levels - 2 - i));
        }

        return count.Peak.Or(new(nameof(conv_norm_out), 3 * channels * Pixels(0)));
    }

    /// <summary>Gets the elements that a block cache keeps of a row: what comes out of the first block, and what goes into the
    /// last.</summary>
    /// <param name="height">The height of the latents.</param>
    /// <param name="width">The width of the latents.</param>
    internal long BlockCacheElements(int height, int width) => Config.BlockOutChannels is [var first, var second, ..]
        ? ((long)first * ((height + 1) / 2) * ((width + 1) / 2)) + ((long)second * height * width)
        : 0;

    private Tensor TimeEmbedding(UNetInputs inputs)
    {
        var batch = inputs.Sample.shape[0];
        var dtype = inputs.Sample.dtype;
        var embedding = time_embedding.call(time_proj.call(inputs.Timestep.expand(batch)).to(dtype), inputs.TimestepCond);
        if (add_time_proj is null || add_embedding is null)
        {
            return embedding;
        }

        var (text, ids) = (inputs.TextEmbeds, inputs.TimeIds);
        if (text is null || ids is null)
        {
            throw new ArgumentException(
                "This model has added conditions (addition_embed_type \"text_time\"): it needs TextEmbeds and TimeIds.", nameof(inputs));
        }

        var times = add_time_proj.call(ids.flatten()).reshape(batch, -1);
        return embedding.Plus(add_embedding.call(cat([text, times], dim: -1).to(dtype)));
    }

    /// <summary>The blocks in one forward pass.</summary>
    private sealed class Blocks : IBlockSequence
    {
        private readonly UNet2DConditionModel model;
        private readonly BlockContext context;
        private readonly Stack<Tensor> skips = [];

        public Blocks(UNet2DConditionModel model, Tensor hidden, BlockContext context)
        {
            (this.model, Hidden, this.context) = (model, hidden, context);
            skips.Push(hidden);
        }

        public Tensor Hidden { get; private set; }

        public bool IsResidual => false;

        public bool CanSkip => model.down_blocks.Count > 1;

        public void First() => Hidden = model.down_blocks[0].call(Hidden, context, skips);

        public void Middle()
        {
            foreach (var block in model.down_blocks.Skip(1))
            {
                Hidden = block.call(Hidden, context, skips);
            }

            // The way up frees what it is given, but the way down's last result is a skip too.
            Hidden = model.mid_block?.call(Hidden, context) ?? Hidden.alias();
            foreach (var block in model.up_blocks.SkipLast(1))
            {
                Hidden = block.call(Hidden, context, skips);
            }
        }

        public void Skip(Tensor hidden)
        {
            // The first block's last skip, which is its result, is for the blocks that are left out.
            skips.Pop().Dispose();
            Hidden = hidden;
        }

        public void Last() => Hidden = model.up_blocks[^1].call(Hidden, context, skips);
    }
}

/// <summary>Represents the inputs of a UNet's forward pass.</summary>
/// <param name="Sample">Noisy latents, (batch, in channels, height, width), in the dtype of the weights.</param>
/// <param name="Timestep">One timestep for all rows, (), or one a row, (batch); fractions are allowed.</param>
/// <param name="EncoderHiddenStates">The encoded prompts, (batch, tokens, cross_attention_dim).</param>
public sealed record UNetInputs(Tensor Sample, Tensor Timestep, Tensor EncoderHiddenStates)
{
    /// <summary>Gets the pooled prompts, (batch, width); needed by models with added conditions (SDXL).</summary>
    public Tensor? TextEmbeds { get; init; }

    /// <summary>Gets the original height and width, crop top and left, target height and width, (batch, 6); needed by models with added
    /// conditions (SDXL).</summary>
    public Tensor? TimeIds { get; init; }

    /// <summary>Gets the condition that is added to the embedded timestep, (1 or batch, time_cond_proj_dim), in the dtype of the weights:
    /// the guidance scale, embedded, in latent consistency models; null for none.</summary>
    public Tensor? TimestepCond { get; init; }

    /// <summary>Gets the mask of the text: 1 for each text token that counts, 0 for the others, (batch, tokens); null when all
    /// do.</summary>
    public Tensor? EncoderAttentionMask { get; init; }
}
