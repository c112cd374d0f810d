using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary><c>x Wᵀ + b</c> over the last axis (torch's <c>nn.Linear</c>).</summary>
internal sealed class Linear : nn.Module<Tensor, Tensor>
{
    public readonly Parameter weight;
    public readonly Parameter? bias;

    public Linear(long inFeatures, long outFeatures, bool bias = true)
        : base(nameof(Linear))
    {
        weight = Parameters.Declare(outFeatures, inFeatures);
        this.bias = bias ? Parameters.Declare(outFeatures) : null;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => PackedWeights.Takes(input, weight, PackedWeights.Linear)
        ? OneDnn.Linear(input, weight, bias)
        : nn.functional.linear(input, weight, bias);

    /// <summary>The tanh approximation of GELU of the layer's output.</summary>
    public Tensor TanhGelu(Tensor input) => PackedWeights.Takes(input, weight, PackedWeights.Linear)
        ? OneDnn.Linear(input, weight, bias, GELU.Approximate.tanh)
        : forward(input).gelu_(GELU.Approximate.tanh);
}
