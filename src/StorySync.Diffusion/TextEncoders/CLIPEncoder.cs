using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>The layers of a tower (transformers' <c>CLIPEncoder</c>).</summary>
internal sealed class CLIPEncoder : nn.Module
{
    private readonly ModuleList<CLIPEncoderLayer> layers;

    public CLIPEncoder(CLIPTowerConfig config, bool causal)
        : base(nameof(CLIPEncoder))
    {
        layers = new(
            [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new CLIPEncoderLayer(config, causal))]);
        RegisterComponents();
    }

    /// <summary>Gives the result of each layer as it is ready. The caller disposes of it, once the next is there.</summary>
    /// <param name="hidden">(batch, tokens, width).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    public IEnumerable<Tensor> Run(Tensor hidden, CancellationToken cancellationToken)
    {
        foreach (var layer in layers)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return hidden = layer.call(hidden);
        }
    }
}

/// <summary>Self-attention and feed-forward, each after a layer norm and with a residual (transformers'
/// <c>CLIPEncoderLayer</c>).</summary>
internal sealed class CLIPEncoderLayer : ScopedModule<Tensor, Tensor>
{
    private readonly CLIPAttention self_attn;
    private readonly LayerNorm layer_norm1;
    private readonly CLIPMLP mlp;
    private readonly LayerNorm layer_norm2;

    public CLIPEncoderLayer(CLIPTowerConfig config, bool causal)
        : base(nameof(CLIPEncoderLayer))
    {
        self_attn = new CLIPAttention(config.HiddenSize, config.NumAttentionHeads, causal);
        layer_norm1 = new LayerNorm(config.HiddenSize, config.LayerNormEps);
        mlp = new CLIPMLP(config);
        layer_norm2 = new LayerNorm(config.HiddenSize, config.LayerNormEps);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor hidden)
    {
        var x = self_attn.call(layer_norm1.call(hidden)).Plus_(hidden);
        return mlp.call(layer_norm2.call(x)).Plus_(x);
    }
}

/// <summary>The feed-forward layer (transformers' <c>CLIPMLP</c>).</summary>
internal sealed class CLIPMLP : ScopedModule<Tensor, Tensor>
{
    private readonly Linear fc1;
    private readonly Linear fc2;
    private readonly Func<Tensor, Tensor> activation;

    public CLIPMLP(CLIPTowerConfig config)
        : base(nameof(CLIPMLP))
    {
        activation = Activation.ByName(config.HiddenAct);
        fc1 = new Linear(config.HiddenSize, config.IntermediateSize);
        fc2 = new Linear(config.IntermediateSize, config.HiddenSize);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor hidden)
    {
        return fc2.call(activation(fc1.call(hidden)));
    }
}
