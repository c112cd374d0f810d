using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>The feed-forward part of a transformer block: a gated GELU to four times the width and back (diffusers'
/// <c>FeedForward</c> with <c>geglu</c>).</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor>> net;

    public FeedForward(long width, long factor = 4)
        : base(nameof(FeedForward))
    {
        net = new ModuleList<nn.Module<Tensor, Tensor>>(
            new Geglu(width, width * factor),
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

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var halves = proj.call(input).chunk(2, dim: -1);
        return nn.functional.gelu(halves[1]).mul_(halves[0]).MoveToOuterDisposeScope();
    }
}
