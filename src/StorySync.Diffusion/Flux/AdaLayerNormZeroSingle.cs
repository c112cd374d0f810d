using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The norm of a single block, whose attention and feed-forward run side by side (diffusers'
/// <c>AdaLayerNormZeroSingle</c>).</summary>
internal sealed class AdaLayerNormZeroSingle : nn.Module<Tensor, Tensor, (Tensor Normed, Tensor Gate)>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormZeroSingle(long width)
        : base(nameof(AdaLayerNormZeroSingle))
    {
        linear = new Linear(width, 3 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    public override (Tensor Normed, Tensor Gate) forward(Tensor x, Tensor temb)
    {
        using var scope = NewDisposeScope();
        var parts = linear.call(nn.functional.silu(temb)).chunk(3, dim: 1);
        return (
            norm.call(x).Modulate(shift: parts[0], scale: parts[1]).MoveToOuterDisposeScope(),
            parts[2].MoveToOuterDisposeScope());
    }
}
