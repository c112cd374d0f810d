using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>The blocks of the encoder and the final norm (transformers' <c>T5Stack</c>).</summary>
internal sealed class T5Stack : ScopedModule<Tensor, Tensor?, CancellationToken, Tensor>
{
    private readonly ModuleList<T5Block> block;
    private readonly RmsNorm final_layer_norm;

    public T5Stack(T5Config config)
        : base(nameof(T5Stack))
    {
        block = new(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new T5Block(config, hasRelativeAttentionBias: i == 0))]);
        final_layer_norm = new RmsNorm(config.DModel, config.LayerNormEpsilon);
        RegisterComponents();
    }

    /// <summary>Gets the type in which the blocks compute.</summary>
    public ScalarType Dtype => final_layer_norm.weight.dtype;

    /// <summary>Returns the most elements that the tensors of a pass take together: the bias by distance is as large as the attention
    /// scores.</summary>
    public static long PeakElements(T5Config config, long rows, long tokens) =>
        (rows * tokens * ((6 * config.DModel) + (3 * config.DFf))) + ((rows + 2) * config.NumHeads * tokens * tokens);

    /// <param name="embedded">(batch, tokens, d_model).</param>
    /// <param name="attentionMask">(batch, tokens), 0 where nothing may look; null lets every token see every token.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each block.</param>
    protected override Tensor Compute(Tensor embedded, Tensor? attentionMask, CancellationToken cancellationToken)
    {
        var bias = block[0].ComputeBias(embedded.shape[1]);
        if (attentionMask is not null)
        {
            // The lowest number and not -inf, so that a text that is masked throughout gives a mean and not NaN.
            bias = bias.MaskedFill(attentionMask.EqualTo(0).unsqueeze(1).unsqueeze(1), finfo(bias.dtype).min);
        }

        var hidden = embedded.alias();
        foreach (var layer in block)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hidden = layer.call(hidden, bias).Freeing(hidden);
        }

        return final_layer_norm.call(hidden);
    }
}

/// <summary>Self-attention and feed-forward (transformers' <c>T5Block</c>).</summary>
internal sealed class T5Block : ScopedModule<Tensor, Tensor, Tensor>
{
    private readonly ModuleList<nn.Module> layer;

    public T5Block(T5Config config, bool hasRelativeAttentionBias)
        : base(nameof(T5Block))
    {
        layer = new(new T5LayerSelfAttention(config, hasRelativeAttentionBias), new T5LayerFF(config));
        RegisterComponents();
    }

    private T5LayerSelfAttention Attention => (T5LayerSelfAttention)layer[0];

    private T5LayerFF FeedForward => (T5LayerFF)layer[1];

    public Tensor ComputeBias(long length) => Attention.ComputeBias(length);

    protected override Tensor Compute(Tensor hidden, Tensor bias) => FeedForward.call(Attention.call(hidden, bias));
}

/// <summary>Attention after a norm, with a residual (transformers' <c>T5LayerSelfAttention</c>).</summary>
internal sealed class T5LayerSelfAttention : ScopedModule<Tensor, Tensor, Tensor>
{
    private readonly T5Attention SelfAttention;
    private readonly RmsNorm layer_norm;

    public T5LayerSelfAttention(T5Config config, bool hasRelativeAttentionBias)
        : base(nameof(T5LayerSelfAttention))
    {
        SelfAttention = new T5Attention(config, hasRelativeAttentionBias);
        layer_norm = new RmsNorm(config.DModel, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor ComputeBias(long length) => SelfAttention.ComputeBias(length);

    protected override Tensor Compute(Tensor hidden, Tensor bias) => hidden.Plus(SelfAttention.call(layer_norm.call(hidden), bias));
}

/// <summary>Feed-forward after a norm, with a residual (transformers' <c>T5LayerFF</c>).</summary>
internal sealed class T5LayerFF : ScopedModule<Tensor, Tensor>
{
    private readonly nn.Module<Tensor, Tensor> DenseReluDense;
    private readonly RmsNorm layer_norm;

    public T5LayerFF(T5Config config)
        : base(nameof(T5LayerFF))
    {
        DenseReluDense = config.IsGated ? new T5DenseGatedActDense(config) : new T5DenseActDense(config);
        layer_norm = new RmsNorm(config.DModel, config.LayerNormEpsilon);
        RegisterComponents();
    }

    // With float16 weights wo stays in float32, because its sums overflow; from there on the residual is float32 too.
    protected override Tensor Compute(Tensor hidden) => hidden.Plus(DenseReluDense.call(layer_norm.call(hidden)));
}
