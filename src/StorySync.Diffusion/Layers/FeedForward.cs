using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>The feed-forward part of a transformer block: to four times the width and back (diffusers' <c>FeedForward</c>).</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor>> net;

    /// <param name="width">Width of the input and output.</param>
    /// <param name="factor">The inner width, as a multiple of <paramref name="width"/>.</param>
    /// <param name="gated">Whether a gated GELU stands between (<c>geglu</c>) or the tanh GELU (<c>gelu-approximate</c>).</param>
    public FeedForward(long width, long factor = 4, bool gated = true)
        : base(nameof(FeedForward))
    {
        net = new ModuleList<nn.Module<Tensor, Tensor>>(
            gated ? new Geglu(width, width * factor) : new GELUProjection(width, width * factor),
            nn.Identity(),
            new Linear(width * factor, width));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var hidden = net[0].call(input);
        return net[2].call(hidden);
    }
}

/// <summary><c>a · gelu(b)</c>, where a is the first and b the second half of a linear projection; exact GELU (diffusers'
/// <c>GEGLU</c>).</summary>
internal sealed class Geglu : nn.Module<Tensor, Tensor>
{
    private readonly Linear proj;

    public Geglu(long inWidth, long outWidth)
        : base(nameof(Geglu))
    {
        proj = new Linear(inWidth, outWidth * 2);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => Fused.LinearGeglu(proj, input);
}

/// <summary>The tanh approximation of GELU on a linear projection (diffusers' <c>GELU</c> with <c>approximate="tanh"</c>).</summary>
internal sealed class GELUProjection : nn.Module<Tensor, Tensor>
{
    private readonly Linear proj;

    public GELUProjection(long inWidth, long outWidth)
        : base(nameof(GELUProjection))
    {
        proj = new Linear(inWidth, outWidth);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => Fused.LinearGeluTanh(proj, input);
}
