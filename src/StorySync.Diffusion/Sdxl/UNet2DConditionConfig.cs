using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Sdxl;

/// <summary>Represents the <c>config.json</c> of a <see cref="UNet2DConditionModel"/>; names and defaults are diffusers'.</summary>
public sealed record UNet2DConditionConfig
{
    /// <summary>Gets the height and width of the latents that the model was trained on; a pipeline's default size follows from
    /// it.</summary>
    [Range(1, 1 << 16)]
    public int? SampleSize { get; init; }

    /// <summary>Gets the number of channels of the latents.</summary>
    [Range(1, 1 << 20)]
    public int InChannels { get; init; } = 4;

    /// <summary>Gets the number of channels of the prediction.</summary>
    [Range(1, 1 << 20)]
    public int OutChannels { get; init; } = 4;

    /// <summary>Gets a value indicating whether the input is mapped from [0, 1] to [−1, 1].</summary>
    public bool CenterInputSample { get; init; }

    /// <summary>Gets a value indicating whether cosines come before sines in the timestep embedding.</summary>
    public bool FlipSinToCos { get; init; } = true;

    /// <summary>Gets the shift of the timestep embedding's frequencies.</summary>
    [Range(-1e6, 1e6)]
    public double FreqShift { get; init; }

    /// <summary>Gets, for each level <c>DownBlock2D</c> or <c>CrossAttnDownBlock2D</c>.</summary>
    [AllowedValues("DownBlock2D", "CrossAttnDownBlock2D")]
    public IReadOnlyList<string> DownBlockTypes { get; init; } =
        ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"];

    /// <summary>Gets the middle block: <c>UNetMidBlock2DCrossAttn</c>, or null for no middle.</summary>
    [AllowedValues("UNetMidBlock2DCrossAttn")]
    public string? MidBlockType { get; init; } = "UNetMidBlock2DCrossAttn";

    /// <summary>Gets, for each level, deepest first, <c>UpBlock2D</c> or <c>CrossAttnUpBlock2D</c>.</summary>
    [AllowedValues("UpBlock2D", "CrossAttnUpBlock2D")]
    public IReadOnlyList<string> UpBlockTypes { get; init; } =
        ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"];

    /// <summary>Gets a value indicating whether the first attention of a transformer block reads the text too; one value or one per
    /// level.</summary>
    public OneOrMany<bool> OnlyCrossAttention { get; init; } = false;

    /// <summary>Gets the number of channels of each level.</summary>
    [Range(1, 1 << 20)]
    [MaxLength(16)]
    public IReadOnlyList<int> BlockOutChannels { get; init; } = [320, 640, 1280, 1280];

    /// <summary>Gets the number of resnets of a level on the way down; on the way up there is one more.</summary>
    [Range(1, 4096)]
    [LayerCount(@"down_blocks\.\d+\.resnets")]
    public OneOrMany<int> LayersPerBlock { get; init; } = 2;

    /// <summary>Gets the padding of the downsamplers.</summary>
    [Range(0, 1)]
    public int DownsamplePadding { get; init; } = 1;

    /// <summary>Gets the middle's resnets divide by it.</summary>
    [Range(1e-6, 1e6)]
    public double MidBlockScaleFactor { get; init; } = 1;

    /// <summary>Gets the activation.</summary>
    [ActivationName]
    public string ActFn { get; init; } = "silu";

    /// <summary>Gets the number of groups of every group norm.</summary>
    [Range(1, 4096)]
    public int NormNumGroups { get; init; } = 32;

    /// <summary>Gets the epsilon of the resnets' norms and of the last one.</summary>
    [Range(double.Epsilon, 1.0)]
    public double NormEps { get; init; } = 1e-5;

    /// <summary>Gets the width of the text.</summary>
    [Range(1, 1 << 20)]
    public OneOrMany<int> CrossAttentionDim { get; init; } = 1280;

    /// <summary>Gets the number of transformer blocks after a resnet: one number, one per level, or for each level one per
    /// resnet.</summary>
    [Range(1, 4096)]
    [LayerCount("transformer_blocks")]
    public OneOrMany<OneOrMany<int>> TransformerLayersPerBlock { get; init; } = (OneOrMany<int>)1;

    /// <summary>Gets the same for the way up, deepest level first; null mirrors the way down.</summary>
    [Range(1, 4096)]
    [LayerCount("transformer_blocks")]
    public OneOrMany<OneOrMany<int>>? ReverseTransformerLayersPerBlock { get; init; }

    /// <summary>Gets the NUMBER of heads, one value or one per level; diffusers keeps the misleading name for old files' sake.</summary>
    [Range(1, 4096)]
    public OneOrMany<int> AttentionHeadDim { get; init; } = 8;

    /// <summary>Gets a value indicating whether the projections around the transformer blocks are linear layers (SDXL, SD 2.1) or 1×1
    /// convolutions (SD
    /// 1.5).</summary>
    public bool UseLinearProjection { get; init; }

    /// <summary>Gets the additional embedding: <c>text_time</c> (SDXL), or null.</summary>
    [AllowedValues("text_time")]
    public string? AdditionEmbedType { get; init; }

    /// <summary>Gets the width in which each of the six time ids is embedded.</summary>
    [Range(1, 1 << 20)]
    public int? AdditionTimeEmbedDim { get; init; }

    /// <summary>Gets the width of the pooled text and the embedded time ids together.</summary>
    [Range(1, 1 << 20)]
    public int? ProjectionClassEmbeddingsInputDim { get; init; }

    /// <summary>Gets how the resnets use the time embedding: <c>default</c> or <c>scale_shift</c>.</summary>
    [AllowedValues("default", "scale_shift")]
    public string ResnetTimeScaleShift { get; init; } = "default";

    /// <summary>Gets the kernel size of the first convolution.</summary>
    [Range(1, 31)]
    public int ConvInKernel { get; init; } = 3;

    /// <summary>Gets the kernel size of the last convolution.</summary>
    [Range(1, 31)]
    public int ConvOutKernel { get; init; } = 3;

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public string? ClassEmbedType { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public int? NumClassEmbeds { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public string? EncoderHidDimType { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public int? EncoderHidDim { get; init; }

    /// <summary>Gets the width of the condition that is added to the embedded timestep, in latent consistency models the guidance scale;
    /// null for none.</summary>
    [Range(4, 1 << 16)]
    public int? TimeCondProjDim { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public int? TimeEmbeddingDim { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public string? TimeEmbeddingActFn { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public string? TimestepPostAct { get; init; }

    /// <summary>Gets an entry that must be null; other values are not supported.</summary>
    [Unsupported]
    public string? CrossAttentionNorm { get; init; }

    /// <summary>Gets the kind of time embedding; only <c>positional</c> is supported.</summary>
    [AllowedValues("positional")]
    public string TimeEmbeddingType { get; init; } = "positional";

    /// <summary>Gets the kind of attention; only <c>default</c> is supported.</summary>
    [AllowedValues("default")]
    public string AttentionType { get; init; } = "default";

    /// <summary>Gets an entry that must be false; true is not supported.</summary>
    [AllowedValues(false)]
    public bool DualCrossAttention { get; init; }

    internal void Validate()
    {
        var levels = BlockOutChannels.Count;
        if (levels == 0 || DownBlockTypes.Count != levels || UpBlockTypes.Count != levels)
        {
            throw new ArgumentException(
                $"block_out_channels has {levels} levels, down_block_types {DownBlockTypes.Count}, up_block_types {UpBlockTypes.Count}; "
                    + $"they must be equal and at least 1.");
        }

        if (BlockOutChannels.FirstOrDefault(channels => channels % NormNumGroups != 0) is var uneven and > 0)
        {
            throw new ArgumentException(
                $"'norm_num_groups' is {NormNumGroups}; it must divide every number of 'block_out_channels', {uneven} too.");
        }

        if (BlockOutChannels[0] < 4)
        {
            throw new ArgumentException(
                $"'block_out_channels' begins with {BlockOutChannels[0]}; timesteps are embedded in so many numbers, at least 4.");
        }

        RequireOneOrEach("layers_per_block", LayersPerBlock);
        RequireOneOrEach("attention_head_dim", AttentionHeadDim);
        RequireOneOrEach("cross_attention_dim", CrossAttentionDim);
        RequireOneOrEach("only_cross_attention", OnlyCrossAttention);
        RequireDepths("transformer_layers_per_block", TransformerLayersPerBlock, "CrossAttnDownBlock2D", DownBlockTypes, 0);
        if (ReverseTransformerLayersPerBlock is null && TransformerLayersPerBlock.Values.Any(depth => depth.IsList))
        {
            throw new ArgumentException(
                "'transformer_layers_per_block' has lists within the list, for the resnets of a level; the way up has one resnet more, so "
                    + "that 'reverse_transformer_layers_per_block' must be there too.");
        }

        if (ReverseTransformerLayersPerBlock is { } reversed)
        {
            RequireDepths("reverse_transformer_layers_per_block", reversed, "CrossAttnUpBlock2D", UpBlockTypes, 1);
        }

        if (AdditionEmbedType is not null && (AdditionTimeEmbedDim is null || ProjectionClassEmbeddingsInputDim is null))
        {
            throw new ArgumentException(
                "addition_embed_type \"text_time\" needs addition_time_embed_dim and projection_class_embeddings_input_dim.");
        }
    }

    private void RequireOneOrEach<T>(string entry, OneOrMany<T> value)
    {
        if (value.IsList && value.Values.Count != BlockOutChannels.Count)
        {
            throw new ArgumentException(
                $"'{entry}' has {value.Values.Count} entries; it must be one value, or a list with one for each of the "
                    + $"{BlockOutChannels.Count} levels of 'block_out_channels'.");
        }
    }

    /// <summary>Checks the numbers of transformer blocks: lists within the list have one for each resnet of a level.</summary>
    private void RequireDepths(
        string entry, OneOrMany<OneOrMany<int>> depths, string attending, IReadOnlyList<string> blocks, int furtherResnets)
    {
        RequireOneOrEach(entry, depths);
        foreach (var (i, depth) in depths.For(BlockOutChannels.Count).Index().Where(level => level.Item.IsList))
        {
            var level = furtherResnets == 0 ? i : BlockOutChannels.Count - 1 - i;
            var resnets = LayersPerBlock[level] + furtherResnets;
            if (depth.Values.Count == 0 || (blocks[i] == attending && depth.Values.Count != resnets))
            {
                throw new ArgumentException(
                    $"'{entry}' has a list of {depth.Values.Count} entries for level {level + 1}; it must have one for each of its "
                        + $"{resnets} resnets.");
            }
        }
    }
}
