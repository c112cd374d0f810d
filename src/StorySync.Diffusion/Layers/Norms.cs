using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Normalization over groups of channels (torch's <c>nn.GroupNorm</c>).</summary>
internal sealed class GroupNorm : nn.Module<Tensor, Tensor>
{
    public readonly Parameter? weight;
    public readonly Parameter? bias;

    /// <param name="groups">The number of groups.</param>
    /// <param name="channels">The number of channels.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="affine">Whether there are a weight and a bias.</param>
    /// <param name="entry">The config's entry with the number of groups, for the message.</param>
    /// <exception cref="ArgumentException"><paramref name="groups"/> does not divide <paramref name="channels"/>.</exception>
    public GroupNorm(long groups, long channels, double epsilon, bool affine = true, string entry = "norm_num_groups")
        : base(nameof(GroupNorm))
    {
        if (groups < 1 || channels % groups != 0)
        {
            throw new ArgumentException(
                $"'{entry}' is {groups}; it must be a divisor of every number of channels that is normalized, of {channels} for example.");
        }

        Groups = groups;
        Epsilon = epsilon;
        weight = affine ? Parameters.Declare(channels) : null;
        bias = affine ? Parameters.Declare(channels) : null;
        RegisterComponents();
    }

    /// <summary>Gets the number of groups.</summary>
    public long Groups { get; }

    /// <summary>Gets what is added to the variance.</summary>
    public double Epsilon { get; }

    public override Tensor forward(Tensor input) => GroupNormalization.Run(input, Groups, Epsilon, weight, bias);
}

/// <summary>Normalization over the last axis (torch's <c>nn.LayerNorm</c>).</summary>
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
internal sealed class RmsNorm : ScopedModule<Tensor, Tensor>
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

    protected override Tensor Compute(Tensor input)
    {
        var x = input.to(float32);
        var scale = x.Pow(2).mean([-1], keepdim: true).Plus_(epsilon).rsqrt_();
        return (x * scale).to(weight.dtype).mul_(weight);
    }
}
