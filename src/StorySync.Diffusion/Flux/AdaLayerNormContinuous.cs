using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The norm before the last projection (diffusers' <c>AdaLayerNormContinuous</c>). Here scale comes before shift.</summary>
internal sealed class AdaLayerNormContinuous : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormContinuous(long width)
        : base(nameof(AdaLayerNormContinuous))
    {
        linear = new Linear(width, 2 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor temb)
    {
        using var scope = NewDisposeScope();
        var parts = linear.call(nn.functional.silu(temb)).chunk(2, dim: 1);
        return norm.call(x).Modulate(shift: parts[1], scale: parts[0]).MoveToOuterDisposeScope();
    }
}
