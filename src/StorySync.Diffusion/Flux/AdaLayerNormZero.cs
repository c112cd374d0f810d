using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The norm before the attention of a double block; brings the modulation of the feed-forward along (diffusers'
/// <c>AdaLayerNormZero</c>).</summary>
internal sealed class AdaLayerNormZero
    : nn.Module<Tensor, Tensor, (Tensor Normed, Tensor Gate, Tensor MlpShift, Tensor MlpScale, Tensor MlpGate)>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormZero(long width)
        : base(nameof(AdaLayerNormZero))
    {
        linear = new Linear(width, 6 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    public override (Tensor Normed, Tensor Gate, Tensor MlpShift, Tensor MlpScale, Tensor MlpGate) forward(Tensor x, Tensor temb)
    {
        using var scope = NewDisposeScope();
        var parts = linear.call(nn.functional.silu(temb)).chunk(6, dim: 1);
        return (
            norm.call(x).Modulate(shift: parts[0], scale: parts[1]).MoveToOuterDisposeScope(),
            parts[2].MoveToOuterDisposeScope(),
            parts[3].MoveToOuterDisposeScope(),
            parts[4].MoveToOuterDisposeScope(),
            parts[5].MoveToOuterDisposeScope());
    }
}
