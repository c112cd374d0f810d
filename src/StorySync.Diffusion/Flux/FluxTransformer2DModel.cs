using System.Diagnostics.CodeAnalysis;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>Represents the denoiser of FLUX.1, schnell and dev (diffusers' <c>FluxTransformer2DModel</c>).</summary>
/// <remarks>Several runs can use one model simultaneously.</remarks>
public sealed class FluxTransformer2DModel : nn.Module<FluxInputs, DenoisingContext, Tensor>
{
    private const double RopeTheta = 10000;

    private readonly RunGate runs = new(typeof(FluxTransformer2DModel));
    private readonly FluxPosEmbed pos_embed;
    private readonly CombinedTimestepTextProjEmbeddings time_text_embed;
    private readonly Linear context_embedder;
    private readonly Linear x_embedder;
    private readonly ModuleList<FluxTransformerBlock> transformer_blocks;
    private readonly ModuleList<FluxSingleTransformerBlock> single_transformer_blocks;
    private readonly AdaLayerNormContinuous norm_out;
    private readonly Linear proj_out;
    private BlockStreaming? streaming;

    /// <summary>Initializes a new instance of the <see cref="FluxTransformer2DModel"/> class without weights: its parameters have shapes
    /// and take no memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="ArgumentException">The axes of the rotary embedding do not fill a head.</exception>
    public FluxTransformer2DModel(FluxTransformer2DConfig config)
        : base(nameof(FluxTransformer2DModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        CheckAxes(config);
        Config = config;
        var (heads, headWidth) = (config.NumAttentionHeads, config.AttentionHeadDim);
        var width = (long)heads * headWidth;
        pos_embed = new FluxPosEmbed(RopeTheta, config.AxesDimsRope);
        time_text_embed = new CombinedTimestepTextProjEmbeddings(width, config.PooledProjectionDim, config.GuidanceEmbeds);
        context_embedder = new Linear(config.JointAttentionDim, width);
        x_embedder = new Linear(config.InChannels, width);
        transformer_blocks = new ModuleList<FluxTransformerBlock>(
            [.. Enumerable.Range(0, config.NumLayers).Select(_ => new FluxTransformerBlock(heads, headWidth))]);
        single_transformer_blocks = new ModuleList<FluxSingleTransformerBlock>(
            [.. Enumerable.Range(0, config.NumSingleLayers).Select(_ => new FluxSingleTransformerBlock(heads, headWidth))]);
        norm_out = new AdaLayerNormContinuous(width);
        proj_out = new Linear(width, (long)config.PatchSize * config.PatchSize * (config.OutChannels ?? config.InChannels));
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>Gets the model's configuration.</summary>
    public FluxTransformer2DConfig Config { get; }

    /// <summary>Gets the attention processors, by layer: <c>transformer_blocks.N.attn</c>,
    /// <c>single_transformer_blocks.N.attn</c>.</summary>
    public AttentionProcessors AttentionProcessors { get; }

    private long Width => (long)Config.NumAttentionHeads * Config.AttentionHeadDim;

    /// <summary>Loads the model from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it.</param>
    /// <param name="dtype">The type to compute in; bfloat16 is the one that the checkpoints have, and needs no memory of its own on the
    /// CPU.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer.</param>
    /// <param name="streamBlocks">Whether to leave the weights of the blocks in the mapped file and bring a block's to the device, in the
    /// type to compute in, only while it runs: needs room for one block instead of all.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static FluxTransformer2DModel Load(
        ModelFolder folder,
        string component = "transformer",
        ScalarType dtype = ScalarType.Float32,
        Device? device = null,
        string? variant = null,
        bool streamBlocks = false) =>
        folder.Load(component, (FluxTransformer2DConfig config) => new FluxTransformer2DModel(config), variant, (model, weights) =>
            model.Bind(weights, dtype, device ?? CPU, streamBlocks));

    /// <summary>Loads the model from a single file as black-forest-labs publish it (<c>flux1-schnell.safetensors</c>); the sizes follow
    /// from its tensors.</summary>
    /// <param name="path">The file.</param>
    /// <param name="dtype">As in <see cref="Load"/>.</param>
    /// <param name="device">As in <see cref="Load"/>.</param>
    /// <param name="streamBlocks">As in <see cref="Load"/>.</param>
    /// <exception cref="ModelFileException">The file is missing, broken, or no FLUX transformer in this layout.</exception>
    /// <exception cref="WeightMismatchException">Tensors are missing or unexpected.</exception>
    public static FluxTransformer2DModel LoadSingleFile(
        string path, ScalarType dtype = ScalarType.Float32, Device? device = null, bool streamBlocks = false)
    {
        using var weights = new FluxSingleFile(WeightFile.Open(path));
        var model = new FluxTransformer2DModel(weights.ReadConfig());
        model.Bind(weights, dtype, device ?? CPU, streamBlocks);
        return model;
    }

    /// <summary>Embeds the positions of the tokens, which stay the same for all steps of a run.</summary>
    /// <param name="txtIds">Positions of the text tokens, (text tokens, axes); see <see cref="FluxLatents.TextIds"/>.</param>
    /// <param name="imgIds">Positions of the image tokens, (image tokens, axes); see <see cref="FluxLatents.ImageIds"/>.</param>
    /// <returns>The embedding for <see cref="FluxInputs.Rotary"/>, on the device of the ids, in the caller's dispose scope.</returns>
    /// <exception cref="ArgumentException">The ids do not have as many axes as the model.</exception>
    public RotaryEmbedding EmbedPositions(Tensor txtIds, Tensor imgIds)
    {
        ArgumentNullException.ThrowIfNull(txtIds);
        ArgumentNullException.ThrowIfNull(imgIds);
        CheckShape(txtIds, nameof(txtIds), txtIds.shape[0], Config.AxesDimsRope.Count);
        CheckShape(imgIds, nameof(imgIds), imgIds.shape[0], Config.AxesDimsRope.Count);
        using var ids = cat([txtIds, imgIds], 0);
        var (cos, sin) = pos_embed.call(ids);
        return new RotaryEmbedding(cos, sin).Freeing(cos, sin);
    }

    /// <summary>Predicts the velocity, from data to noise.</summary>
    /// <param name="inputs">Latents, timestep and conditions.</param>
    /// <param name="context">The denoising context.</param>
    /// <returns>(batch, image tokens, patch_size² · out_channels).</returns>
    /// <exception cref="ArgumentException">A tensor does not have the shape it must have, or guidance is missing or not wanted.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override Tensor forward(FluxInputs inputs, DenoisingContext context)
    {
        using var run = runs.Enter();
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(context);
        Check(inputs);
        using var scope = NewDisposeScope();
        var image = x_embedder.call(inputs.HiddenStates);
        var text = context_embedder.call(inputs.EncoderHiddenStates);
        var temb = time_text_embed.call(
            ScaleTimestep(inputs.Timestep, image), ScaleTimestep(inputs.Guidance, image), inputs.PooledProjections);

        var driver = new BlockDriver(context, streaming);
        var blocks = new Blocks(
            this, image, text, temb, new FluxBlockContext(inputs.Rotary, inputs.Grid, (int)text.shape[1], context), driver);
        driver.Run(blocks);
        return proj_out.call(norm_out.call(blocks.Hidden, temb)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    /// <summary>Gets the peak of a forward pass.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="tokens">The text and image tokens of a row.</param>
    /// <param name="shares">Whether the images share attention.</param>
    /// <param name="hasBaseline">Whether an unmodified branch runs along.</param>
    internal ActivationPeak PeakElements(long rows, long tokens, bool shares, bool hasBaseline) =>
        new("single_transformer_blocks", FluxSingleTransformerBlock.PeakElements(shares, hasBaseline) * (double)rows * tokens * Width);

    /// <summary>Gets the elements that a block cache keeps of a row: what the first block added and what came out of it, later what the
    /// others added.</summary>
    /// <param name="imageTokens">The image tokens of a row.</param>
    internal long BlockCacheElements(long imageTokens) => 2 * imageTokens * Width;

    private void Bind(ITensorSource weights, ScalarType dtype, Device device, bool streamBlocks)
    {
        if (streamBlocks)
        {
            WeightBinder.Bind(this, weights);
            streaming = new BlockStreaming(this, [.. transformer_blocks, .. single_transformer_blocks], device, dtype);
        }
        else
        {
            WeightBinder.Bind(this, weights, dtype, device);
        }
    }

    /// <summary>Scales timesteps and guidance scales by 1000, in the model's dtype.</summary>
    [return: NotNullIfNotNull(nameof(value))]
    private static Tensor? ScaleTimestep(Tensor? value, Tensor hidden) => value?.expand(hidden.shape[0]).to(hidden.dtype).Times(1000);

    private static void CheckAxes(FluxTransformer2DConfig config)
    {
        var axes = config.AxesDimsRope;
        if (axes.Sum() != config.AttentionHeadDim || axes.Any(width => width % 2 != 0))
        {
            throw new ArgumentException(
                $"axes_dims_rope is [{string.Join(", ", axes)}]; expected are even numbers that sum to attention_head_dim, "
                    + $"{config.AttentionHeadDim}.",
                nameof(config));
        }
    }

    private void Check(FluxInputs inputs)
    {
        var (batch, textTokens) = (inputs.HiddenStates.shape[0], inputs.EncoderHiddenStates.shape[1]);
        CheckShape(inputs.HiddenStates, nameof(inputs.HiddenStates), batch, inputs.Grid.Tokens, Config.InChannels);
        CheckShape(inputs.EncoderHiddenStates, nameof(inputs.EncoderHiddenStates), batch, textTokens, Config.JointAttentionDim);
        CheckShape(inputs.PooledProjections, nameof(inputs.PooledProjections), batch, Config.PooledProjectionDim);
        CheckShape(inputs.Rotary.Turns, nameof(inputs.Rotary), textTokens + inputs.Grid.Tokens, Config.AttentionHeadDim / 2);
        if (inputs.Guidance is null == Config.GuidanceEmbeds)
        {
            throw new ArgumentException(
                Config.GuidanceEmbeds
                    ? "This model embeds the guidance scale (guidance_embeds is true): it needs Guidance."
                    : "This model embeds no guidance scale (guidance_embeds is false): leave Guidance null.",
                nameof(inputs));
        }
    }

    private static void CheckShape(Tensor tensor, string name, params long[] expected)
    {
        if (!tensor.shape.SequenceEqual(expected))
        {
            throw new ArgumentException(
                $"{name} is ({string.Join(", ", tensor.shape)}); this model and grid need ({string.Join(", ", expected)}).");
        }
    }

    /// <summary>The blocks in one forward pass: text and image apart, then as one sequence.</summary>
    private sealed class Blocks(
        FluxTransformer2DModel model, Tensor image, Tensor text, Tensor temb, FluxBlockContext context, BlockDriver driver) : IBlockSequence
    {
        public Tensor Hidden => image;

        public bool IsResidual => true;

        public bool CanSkip => model.transformer_blocks.Count > 0;

        public void First() => Double(model.transformer_blocks.Take(1));

        public void Middle()
        {
            Double(model.transformer_blocks.Skip(1));
            var joint = cat([text, image], 1).Freeing(text, image);
            foreach (var block in driver.Each(model.single_transformer_blocks))
            {
                joint = block.call(joint, temb, context).Freeing(joint);
            }

            image = joint.narrow(1, context.TextTokens, context.Grid.Tokens);
        }

        public void Last()
        {
        }

        public void Skip(Tensor hidden) => image = hidden;

        private void Double(IEnumerable<FluxTransformerBlock> blocks)
        {
            foreach (var block in driver.Each(blocks))
            {
                (image, text) = block.call(image, text, temb, context).Freeing(image, text);
            }
        }
    }
}
