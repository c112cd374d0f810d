using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents the <c>config.json</c> of a <see cref="T5EncoderModel"/>; names and defaults are those of transformers'
/// <c>T5Config</c>.</summary>
public sealed record T5Config
{
    /// <summary>Gets the number of rows of the token table; it can have more than the tokenizer has ids.</summary>
    [Range(1, 1 << 24)]
    public int VocabSize { get; init; } = 32128;

    /// <summary>Gets the width of the tokens.</summary>
    [Range(1, 1 << 20)]
    public int DModel { get; init; } = 512;

    /// <summary>Gets the width of a head; heads times this need not be <see cref="DModel"/>.</summary>
    [Range(1, 8192)]
    public int DKv { get; init; } = 64;

    /// <summary>Gets the width inside a feed-forward layer.</summary>
    [Range(1, 1 << 20)]
    public int DFf { get; init; } = 2048;

    /// <summary>Gets the number of blocks.</summary>
    [Range(1, 4096)]
    [LayerCount(@"encoder\.block")]
    public int NumLayers { get; init; } = 6;

    /// <summary>Gets the number of attention heads.</summary>
    [Range(1, 4096)]
    public int NumHeads { get; init; } = 8;

    /// <summary>Gets the number of classes that distances between tokens fall into, a multiple of 4.</summary>
    [Range(4, 1 << 20)]
    public int RelativeAttentionNumBuckets { get; init; } = 32;

    /// <summary>Gets the largest distance: from this distance on, all are in one class.</summary>
    [Range(2, 1 << 20)]
    public int RelativeAttentionMaxDistance { get; init; } = 128;

    /// <summary>Gets the epsilon of every norm.</summary>
    [Range(double.Epsilon, 1.0)]
    public double LayerNormEpsilon { get; init; } = 1e-6;

    /// <summary>Gets the activation of the feed-forward layers, alone (<c>relu</c>) or <c>gated-</c> before its name. <c>gated-gelu</c>
    /// has always meant the tanh approximation.</summary>
    [ActivationName("gated-")]
    public string FeedForwardProj { get; init; } = "relu";

    /// <exception cref="ArgumentException">Entries contradict each other.</exception>
    internal void Validate()
    {
        // Half of the buckets are for each direction, and half of these for single distances; the others reach up to the largest in
        // logarithms.
        if (RelativeAttentionMaxDistance <= RelativeAttentionNumBuckets / 4)
        {
            throw new ArgumentException(
                $"'relative_attention_max_distance' is {RelativeAttentionMaxDistance}; it must be more than a quarter of "
                + $"'relative_attention_num_buckets', which is {RelativeAttentionNumBuckets}.");
        }
    }

    internal bool IsGated => FeedForwardProj.StartsWith("gated-", StringComparison.Ordinal);

    internal string ActivationName => FeedForwardProj == "gated-gelu" ? "gelu_new" : FeedForwardProj.Split('-')[^1];
}
