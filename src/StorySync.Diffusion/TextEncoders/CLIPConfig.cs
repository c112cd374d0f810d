using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents the entries that are common to the configs of CLIP's two towers.</summary>
public abstract record CLIPTowerConfig
{
    private protected CLIPTowerConfig(int hiddenSize, int intermediateSize, int numAttentionHeads)
    {
        HiddenSize = hiddenSize;
        IntermediateSize = intermediateSize;
        NumAttentionHeads = numAttentionHeads;
    }

    /// <summary>Gets the width of the tokens.</summary>
    [Range(1, 1 << 20)]
    public int HiddenSize { get; init; }

    /// <summary>Gets the width inside a feed-forward layer.</summary>
    [Range(1, 1 << 20)]
    public int IntermediateSize { get; init; }

    /// <summary>Gets the number of attention heads; divides <see cref="HiddenSize"/>.</summary>
    [Range(1, 4096)]
    public int NumAttentionHeads { get; init; }

    /// <summary>Gets the number of layers.</summary>
    [Range(1, 4096)]
    [LayerCount(@"encoder\.layers")]
    public int NumHiddenLayers { get; init; } = 12;

    /// <summary>Gets the activation of the feed-forward layers.</summary>
    [ActivationName]
    public string HiddenAct { get; init; } = "quick_gelu";

    /// <summary>Gets the epsilon of every layer norm.</summary>
    [Range(double.Epsilon, 1.0)]
    public double LayerNormEps { get; init; } = 1e-5;

    internal void Validate()
    {
        if (HiddenSize % NumAttentionHeads != 0)
        {
            throw new ArgumentException($"hidden_size {HiddenSize} is not a multiple of num_attention_heads {NumAttentionHeads}.");
        }
    }
}

/// <summary>Represents the <c>config.json</c> of a <see cref="CLIPTextModel"/> or <see cref="CLIPTextModelWithProjection"/>, and a <see
/// cref="CLIPModel"/>'s <c>text_config</c>; names and defaults are those of transformers' <c>CLIPTextConfig</c>.</summary>
public sealed record CLIPTextConfig : CLIPTowerConfig
{
    /// <summary>The <see cref="EosTokenId"/> that stands for the largest id of a text.</summary>
    internal const long LargestId = 2;

    /// <summary>Initializes a new instance of the <see cref="CLIPTextConfig"/> class with the defaults.</summary>
    public CLIPTextConfig()
        : base(hiddenSize: 512, intermediateSize: 2048, numAttentionHeads: 8)
    {
    }

    /// <summary>Gets the number of token ids.</summary>
    [Range(1, 1 << 24)]
    public int VocabSize { get; init; } = 49408;

    /// <summary>Gets the most tokens a text can have.</summary>
    [Range(1, 1 << 20)]
    public int MaxPositionEmbeddings { get; init; } = 77;

    /// <summary>Gets the width of the projection of a <see cref="CLIPTextModelWithProjection"/>.</summary>
    [Range(1, 1 << 20)]
    public int ProjectionDim { get; init; } = 512;

    /// <summary>Gets the end-of-text token, whose first place gives the pooled output. 2, which many configs hold by mistake, stands for
    /// the largest id of the text.</summary>
    public long EosTokenId { get; init; } = 49407;
}

/// <summary>Represents a <see cref="CLIPModel"/>'s <c>vision_config</c>; names and defaults are those of transformers'
/// <c>CLIPVisionConfig</c>.</summary>
public sealed record CLIPVisionConfig : CLIPTowerConfig
{
    /// <summary>Initializes a new instance of the <see cref="CLIPVisionConfig"/> class with the defaults.</summary>
    public CLIPVisionConfig()
        : base(hiddenSize: 768, intermediateSize: 3072, numAttentionHeads: 12)
    {
    }

    /// <summary>Gets the number of channels of an image.</summary>
    [Range(1, 4096)]
    public int NumChannels { get; init; } = 3;

    /// <summary>Gets the height and width of an image, in pixels.</summary>
    [Range(1, 1 << 16)]
    public int ImageSize { get; init; } = 224;

    /// <summary>Gets the height and width of a patch, in pixels.</summary>
    [Range(1, 1 << 16)]
    public int PatchSize { get; init; } = 32;
}

/// <summary>Represents the <c>config.json</c> of a <see cref="CLIPModel"/>; names and defaults are those of transformers'
/// <c>CLIPConfig</c>.</summary>
public sealed record CLIPConfig
{
    /// <summary>Gets the text tower's config.</summary>
    public CLIPTextConfig TextConfig { get; init; } = new();

    /// <summary>Gets the image tower's config.</summary>
    public CLIPVisionConfig VisionConfig { get; init; } = new();

    /// <summary>Gets the width in which texts and images are compared (the towers' own entries of that name do not count).</summary>
    [Range(1, 1 << 20)]
    public int ProjectionDim { get; init; } = 512;
}
