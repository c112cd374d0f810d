using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary><c>x Wᵀ + b</c> over the last axis (torch's <c>nn.Linear</c>).</summary>
internal sealed class Linear : WeightedLayer
{
    private readonly long outFeatures;

    public Linear(long inFeatures, long outFeatures, bool bias = true)
        : base(nameof(Linear), bias ? outFeatures : null, outFeatures, inFeatures)
    {
        this.outFeatures = outFeatures;
        RegisterComponents();
    }

    protected override bool ReadsHalves => Lanes.AreAccelerated;

    public override Tensor forward(Tensor input) => DerivedWeights.Panels(input, weight) is { } panels
        ? LinearKernel.Apply(input, panels, outFeatures, bias)
        : Product(input);

    /// <summary>The tanh approximation of GELU of the layer's output.</summary>
    public Tensor TanhGelu(Tensor input) => DerivedWeights.Panels(input, weight) is { } panels
        ? LinearKernel.Apply(input, panels, outFeatures, bias, LinearOutput.TanhGelu)
        : Product(input).gelu_(GELU.Approximate.tanh);

    /// <summary>The first half of the layer's output, multiplied with the exact GELU of the second half.</summary>
    public Tensor Gated(Tensor input)
    {
        if (DerivedWeights.Panels(input, weight, parts: 2) is { } panels)
        {
            return LinearKernel.Apply(input, panels, outFeatures / 2, bias, LinearOutput.Gated);
        }

        using var scope = NewDisposeScope();
        var halves = Product(input).chunk(2, dim: -1);
        return nn.functional.gelu(halves[1]).mul_(halves[0]).MoveToOuterDisposeScope();
    }

    private Tensor Product(Tensor input)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(input, DerivedWeights.Values(weight), bias).MoveToOuterDisposeScope();
    }
}
