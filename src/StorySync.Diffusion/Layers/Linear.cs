using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary><c>x Wᵀ + b</c> over the last axis (torch's <c>nn.Linear</c>).</summary>
internal sealed class Linear : WeightedLayer
{
    public Linear(long inFeatures, long outFeatures, bool bias = true)
        : base(nameof(Linear), bias ? outFeatures : null, canDefer: true, outFeatures, inFeatures) => RegisterComponents();

    protected override bool ReadsHalves => Simd.IsSupported;

    public override Tensor forward(Tensor input) => LinearProduct.Run(input, Storage, bias);
}
