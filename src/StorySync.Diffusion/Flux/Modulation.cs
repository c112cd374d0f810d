using StorySync.Diffusion.Layers;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>How the conditioning steers a branch of a block: <c>norm(x)·(1 + scale) + shift</c> goes in, <c>gate</c> times what comes
/// out is added to <c>x</c>. Shift, scale and gate are (batch, width); x is (batch, tokens, width).</summary>
internal static class Modulation
{
    /// <summary>The norm that is modulated: it has no weights of its own.</summary>
    public static LayerNorm Norm(long width) => new(width, epsilon: 1e-6, affine: false);

    /// <summary><c>x·(1 + scale) + shift</c>.</summary>
    public static Tensor Modulate(this Tensor x, Tensor shift, Tensor scale)
    {
        using var scope = NewDisposeScope();
        return addcmul(shift.unsqueeze(1), x, (scale + 1).unsqueeze(1), 1).MoveToOuterDisposeScope();
    }

    /// <summary><c>x + gate·branch</c>.</summary>
    public static Tensor AddGated(this Tensor x, Tensor gate, Tensor branch)
    {
        using var scope = NewDisposeScope();
        return addcmul(x, gate.unsqueeze(1), branch, 1).MoveToOuterDisposeScope();
    }

    /// <summary>Keeps float16 from running over to infinity; other dtypes pass as they are.</summary>
    public static Tensor ClampFloat16(this Tensor x) => x.dtype == float16 ? x.clamp_(-65504, 65504) : x;
}
