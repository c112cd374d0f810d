using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Self-attention without biases and without scaling (transformers' <c>T5Attention</c>). The one of the first block also
/// holds what a distance between two tokens adds to their score, for all blocks.</summary>
internal sealed class T5Attention : ScopedModule<Tensor, Tensor, Tensor>
{
    private readonly Linear q;
    private readonly Linear k;
    private readonly Linear v;
    private readonly Linear o;
    private readonly Embedding? relative_attention_bias;
    private readonly T5Config config;

    public T5Attention(T5Config config, bool hasRelativeAttentionBias)
        : base(nameof(T5Attention))
    {
        var inner = (long)config.NumHeads * config.DKv;
        q = new Linear(config.DModel, inner, bias: false);
        k = new Linear(config.DModel, inner, bias: false);
        v = new Linear(config.DModel, inner, bias: false);
        o = new Linear(inner, config.DModel, bias: false);
        relative_attention_bias = hasRelativeAttentionBias
            ? new Embedding(config.RelativeAttentionNumBuckets, config.NumHeads)
            : null;
        this.config = config;
        RegisterComponents();
    }

    /// <param name="hidden">(batch, tokens, d_model).</param>
    /// <param name="bias">Added to the scores, (1 or batch, heads, tokens, tokens).</param>
    protected override Tensor Compute(Tensor hidden, Tensor bias)
    {
        var heads = config.NumHeads;

        // The fused attention divides by the root of the head's width; T5 does not.
        var query = q.call(hidden).Times_(Math.Sqrt(config.DKv));
        var attended = nn.functional.scaled_dot_product_attention(
            query.SplitHeads(heads), k.call(hidden).SplitHeads(heads), v.call(hidden).SplitHeads(heads), bias);
        return o.call(attended.MergeHeads());
    }

    /// <summary>Returns the bias of a text of <paramref name="length"/> tokens, (1, heads, tokens, tokens).</summary>
    /// <exception cref="InvalidOperationException">This is not the attention of the first block.</exception>
    public Tensor ComputeBias(long length)
    {
        var table = relative_attention_bias
            ?? throw new InvalidOperationException("Only the first block of T5 holds the relative attention bias.");
        using var scope = NewDisposeScope();
        var positions = Arithmetic.Arange(0, length, device: table.weight.device);
        var buckets = Bucket(positions.unsqueeze(0) - positions.unsqueeze(1));
        return table.call(buckets).permute(2, 0, 1).unsqueeze(0).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>Half of the buckets for what follows, half for what precedes; in each, half for single distances and half for
    /// ranges that grow logarithmically up to the maximum distance.</summary>
    private Tensor Bucket(Tensor relativePosition)
    {
        var half = config.RelativeAttentionNumBuckets / 2;
        var exact = half / 2;
        var distance = relativePosition.abs();
        var growth = distance.to(float32).Over(exact).log().Over(Math.Log((double)config.RelativeAttentionMaxDistance / exact));
        var range = growth.Times(half - exact).to(int64).Plus(exact).ClampMax(half - 1);
        return where(distance.LessThan(exact), distance, range).Plus(relativePosition.GreaterThan(0).to(int64).Times(half));
    }
}
