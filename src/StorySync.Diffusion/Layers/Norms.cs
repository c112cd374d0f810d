using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Normalisation over groups of channels (torch's <c>nn.GroupNorm</c>).</summary>
internal sealed class GroupNorm : nn.Module<Tensor, Tensor>
{
    public readonly Parameter? weight;
    public readonly Parameter? bias;
    private readonly long groups;
    private readonly double epsilon;

    public GroupNorm(long groups, long channels, double epsilon, bool affine = true)
        : base(nameof(GroupNorm))
    {
        this.groups = groups;
        this.epsilon = epsilon;
        weight = affine ? Parameters.Declare(channels) : null;
        bias = affine ? Parameters.Declare(channels) : null;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => nn.functional.group_norm(input, groups, weight, bias, epsilon);
}

/// <summary>Normalisation over the last axis (torch's <c>nn.LayerNorm</c>).</summary>
internal sealed class LayerNorm : nn.Module<Tensor, Tensor>
{
    public readonly Parameter? weight;
    public readonly Parameter? bias;
    private readonly long[] shape;
    private readonly double epsilon;

    public LayerNorm(long width, double epsilon, bool affine = true)
        : base(nameof(LayerNorm))
    {
        shape = [width];
        this.epsilon = epsilon;
        weight = affine ? Parameters.Declare(width) : null;
        bias = affine ? Parameters.Declare(width) : null;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => nn.functional.layer_norm(input, shape, weight, bias, epsilon);
}
