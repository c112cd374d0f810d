using StorySync.Kernels;
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

    public override Tensor forward(Tensor input) => GroupNormKernel.Takes(input)
        ? GroupNormKernel.Apply(input, groups, epsilon, weight, bias, shift: null, silu: false)
        : nn.functional.group_norm(input, groups, weight, bias, epsilon);

    /// <summary>The norm of a sum, and a SiLU.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="shift">Added to the input, (batch, channels); null for nothing.</param>
    public Tensor Silu(Tensor input, Tensor? shift = null)
    {
        if (GroupNormKernel.Takes(input))
        {
            return GroupNormKernel.Apply(input, groups, epsilon, weight, bias, shift, silu: true);
        }

        using var scope = NewDisposeScope();
        var sum = shift is null ? input : input + shift.unsqueeze(-1).unsqueeze(-1);
        return forward(sum).silu_().MoveToOuterDisposeScope();
    }

    /// <summary>The norm, with a scale and a shift per image in place of the layer's own, which must have none; then a SiLU or not.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="scale">(batch, channels).</param>
    /// <param name="shift">(batch, channels).</param>
    /// <param name="silu">Whether a SiLU follows.</param>
    public Tensor Conditional(Tensor input, Tensor scale, Tensor shift, bool silu)
    {
        if (GroupNormKernel.Takes(input))
        {
            return GroupNormKernel.Apply(input, groups, epsilon, scale, shift, shift: null, silu);
        }

        using var scope = NewDisposeScope();
        var output = forward(input).mul_(scale.unsqueeze(-1).unsqueeze(-1)).add_(shift.unsqueeze(-1).unsqueeze(-1));
        return (silu ? output.silu_() : output).MoveToOuterDisposeScope();
    }
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

/// <summary>Scaling by the root mean square over the last axis, without a mean or a bias (diffusers' <c>RMSNorm</c>, transformers'
/// <c>T5LayerNorm</c>; arXiv 1910.07467). The mean is taken in float32; the result has the weight's type.</summary>
internal sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    public readonly Parameter weight;
    private readonly double epsilon;

    public RmsNorm(long width, double epsilon)
        : base(nameof(RmsNorm))
    {
        this.epsilon = epsilon;
        weight = Parameters.Declare(width);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = input.to(float32);
        var scale = x.pow(2).mean([-1], keepdim: true).add_(epsilon).rsqrt_();
        return (x * scale).to(weight.dtype).mul_(weight).MoveToOuterDisposeScope();
    }
}
