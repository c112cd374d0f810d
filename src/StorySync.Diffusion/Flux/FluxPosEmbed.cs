using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The tables of FLUX's rotary position embedding over several axes (diffusers' <c>FluxPosEmbed</c>).</summary>
/// <remarks>From ids, (tokens, axes), to cosines and sines, (tokens, head width), float32. Each axis has a share of the head;
/// pair i of a share of width d turns by <c>id · θ^(−2i/d)</c>.</remarks>
internal sealed class FluxPosEmbed(double theta, IReadOnlyList<int> axesDims)
    : nn.Module<Tensor, (Tensor Cos, Tensor Sin)>(nameof(FluxPosEmbed))
{
    public override (Tensor Cos, Tensor Sin) forward(Tensor ids)
    {
        using var scope = NewDisposeScope();

        // On the CPU, because not every device has float64; the tables are small.
        var positions = ids.to(float64, CPU);
        var angles = cat([.. axesDims.Select((dim, axis) => outer(positions.select(1, axis), Frequencies(dim)))], 1)
            .repeat_interleave(2, dim: 1);
        return (
            angles.cos().to(float32, ids.device).MoveToOuterDisposeScope(),
            angles.sin().to(float32, ids.device).MoveToOuterDisposeScope());
    }

    private Tensor Frequencies(int dim) => tensor(theta, float64).pow(arange(0, dim, 2, float64) / dim).reciprocal();
}
