using System.Diagnostics.CodeAnalysis;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The denoiser of FLUX.1, schnell and dev (diffusers' <c>FluxTransformer2DModel</c>).</summary>
/// <remarks>Several runs may use one model at once.</remarks>
public sealed class FluxTransformer2DModel : nn.Module<FluxInputs, DenoisingContext, Tensor>
{
    private const double RopeTheta = 10000;

    private readonly FluxPosEmbed pos_embed;
    private readonly CombinedTimestepTextProjEmbeddings time_text_embed;
    private readonly Linear context_embedder;
    private readonly Linear x_embedder;
    private readonly ModuleList<FluxTransformerBlock> transformer_blocks;
    private readonly ModuleList<FluxSingleTransformerBlock> single_transformer_blocks;
    private readonly AdaLayerNormContinuous norm_out;
    private readonly Linear proj_out;
    private readonly nn.Module<Tensor, Tensor, Tensor, FluxPass, (Tensor Text, Tensor Image)>[] blocks;
    private BlockStreaming? streaming;

    /// <summary>Builds the model without weights: its parameters have shapes and take no memory.</summary>
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
        blocks = [.. transformer_blocks, .. single_transformer_blocks];
        RegisterComponents();
        AttentionProcessors = new AttentionProcessors(this);
    }

    /// <summary>The model's configuration.</summary>
    public FluxTransformer2DConfig Config { get; }

    /// <summary>The attention processors, by layer: <c>transformer_blocks.N.attn</c>, <c>single_transformer_blocks.N.attn</c>.</summary>
    public AttentionProcessors AttentionProcessors { get; }

    /// <summary>Loads the model from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it.</param>
    /// <param name="dtype">The type to compute in; bfloat16 is the one that the checkpoints have, and needs no memory of its own on the CPU.</param>
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
        using var weights = new FluxSingleFile(SafetensorsFile.Open(path));
        var model = new FluxTransformer2DModel(weights.ReadConfig());
        model.Bind(weights, dtype, device ?? CPU, streamBlocks);
        return model;
    }

    /// <summary>Predicts the velocity, from data to noise.</summary>
    /// <param name="input1">Latents, timestep and conditions.</param>
    /// <param name="input2">The run.</param>
    /// <returns>(batch, image tokens, patch_size² · out_channels).</returns>
    /// <exception cref="ArgumentException">A tensor does not have the shape it must have, or guidance is missing or not wanted.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public override Tensor forward(FluxInputs input1, DenoisingContext input2)
    {
        ArgumentNullException.ThrowIfNull(input1);
        ArgumentNullException.ThrowIfNull(input2);
        Check(input1);
        using var scope = NewDisposeScope();
        var image = x_embedder.call(input1.HiddenStates);
        var temb = time_text_embed.call(Thousandfold(input1.Timestep, image), Thousandfold(input1.Guidance, image), input1.PooledProjections);
        var text = context_embedder.call(input1.EncoderHiddenStates);
        var (cos, sin) = pos_embed.call(cat([input1.TxtIds, input1.ImgIds], 0));
        var pass = new FluxPass(new RotaryEmbedding(cos, sin), input1.Grid, (int)text.shape[1], input2);
        image = input2.BlockCache is { } cache && blocks.Length > 1
            ? Cached(cache, text, image, temb, pass)
            : Through(blocks, text, image, temb, pass).Image;
        return proj_out.call(norm_out.call(image, temb)).MoveToOuterDisposeScope();
    }

    /// <summary>Through some of the blocks; text and image are disposed.</summary>
    private (Tensor Text, Tensor Image) Through(
        ReadOnlySpan<nn.Module<Tensor, Tensor, Tensor, FluxPass, (Tensor Text, Tensor Image)>> blocks, Tensor text, Tensor image, Tensor temb, FluxPass pass)
    {
        foreach (var block in blocks)
        {
            pass.Context.CancellationToken.ThrowIfCancellationRequested();
            using var loaded = streaming?.Load(block);
            var (nextText, nextImage) = block.call(image, text, temb, pass);
            text.Dispose();
            image.Dispose();
            (text, image) = (nextText, nextImage);
        }

        return (text, image);
    }

    /// <summary>Through all blocks, or through the first alone, with what the others added in an earlier step.</summary>
    private Tensor Cached(BlockCache cache, Tensor text, Tensor image, Tensor temb, FluxPass pass)
    {
        var before = image.alias();
        var (firstText, first) = Through(blocks.AsSpan(0, 1), text, image, temb, pass);
        if (cache.Reuse(first - before, pass.Context) is { } rest)
        {
            return first + rest;
        }

        before.Dispose();
        var behindFirst = first.alias();
        image = Through(blocks.AsSpan(1), firstText, first, temb, pass).Image;
        cache.Keep(image - behindFirst, pass.Context);
        return image;
    }

    private void Bind(ITensorSource weights, ScalarType dtype, Device device, bool streamBlocks)
    {
        if (streamBlocks)
        {
            WeightBinder.Bind(this, weights);
            streaming = new BlockStreaming(this, blocks, device, dtype);
        }
        else
        {
            WeightBinder.Bind(this, weights, dtype, device);
        }
    }

    /// <summary>Timesteps and guidance scales are embedded a thousandfold, in the model's dtype.</summary>
    [return: NotNullIfNotNull(nameof(value))]
    private static Tensor? Thousandfold(Tensor? value, Tensor hidden) => value?.expand(hidden.shape[0]).to(hidden.dtype).mul(1000);

    private static void CheckAxes(FluxTransformer2DConfig config)
    {
        var axes = config.AxesDimsRope;
        if (axes.Sum() != config.AttentionHeadDim || axes.Any(width => width % 2 != 0))
        {
            throw new ArgumentException(
                $"axes_dims_rope is [{string.Join(", ", axes)}]; expected are even numbers that sum to attention_head_dim, {config.AttentionHeadDim}.",
                nameof(config));
        }
    }

    private void Check(FluxInputs inputs)
    {
        var (batch, textTokens, axes) = (inputs.HiddenStates.shape[0], inputs.TxtIds.shape[0], Config.AxesDimsRope.Count);
        CheckShape(inputs.HiddenStates, nameof(inputs.HiddenStates), batch, inputs.Grid.Tokens, Config.InChannels);
        CheckShape(inputs.EncoderHiddenStates, nameof(inputs.EncoderHiddenStates), batch, textTokens, Config.JointAttentionDim);
        CheckShape(inputs.PooledProjections, nameof(inputs.PooledProjections), batch, Config.PooledProjectionDim);
        CheckShape(inputs.ImgIds, nameof(inputs.ImgIds), inputs.Grid.Tokens, axes);
        CheckShape(inputs.TxtIds, nameof(inputs.TxtIds), textTokens, axes);
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
            throw new ArgumentException($"{name} is ({string.Join(", ", tensor.shape)}); this model and grid need ({string.Join(", ", expected)}).");
        }
    }
}
