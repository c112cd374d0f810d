using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Computes group norms, and what comes before and after them, with the fastest available implementation.</summary>
internal static class GroupNormalization
{
    /// <summary>Normalizes (torch's <c>group_norm</c>).</summary>
    /// <param name="input">(batch, channels, …).</param>
    /// <param name="groups">The number of groups.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="weight">(channels); null for ones.</param>
    /// <param name="bias">(channels); null for zeros.</param>
    public static Tensor Run(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias) => GroupNormKernel.Supports(input)
        ? GroupNormKernel.Apply(input, groups, epsilon, weight, bias, shift: null, silu: false)
        : nn.functional.group_norm(input, groups, weight, bias, epsilon);

    /// <summary>Normalizes a sum and applies SiLU.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="groups">The number of groups.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="weight">(channels); null for ones.</param>
    /// <param name="bias">(channels); null for zeros.</param>
    /// <param name="shift">Added to the input, (batch, channels); null for nothing.</param>
    public static Tensor RunSilu(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias, Tensor? shift)
    {
        if (GroupNormKernel.Supports(input))
        {
            return GroupNormKernel.Apply(input, groups, epsilon, weight, bias, shift, silu: true);
        }

        using var scope = NewDisposeScope();
        var sum = shift is null ? input : input.Plus(shift.unsqueeze(-1).unsqueeze(-1));
        return ImageByImage.SiluInPlace(Run(sum, groups, epsilon, weight, bias)).MoveToOuterDisposeScope();
    }

    /// <summary>Normalizes, with a scale and a shift for each image, and applies SiLU or not.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="groups">The number of groups.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="scale">(batch, channels).</param>
    /// <param name="shift">(batch, channels).</param>
    /// <param name="silu">Whether SiLU follows.</param>
    public static Tensor RunModulated(Tensor input, long groups, double epsilon, Tensor scale, Tensor shift, bool silu)
    {
        if (GroupNormKernel.Supports(input))
        {
            return GroupNormKernel.Apply(input, groups, epsilon, scale, shift, shift: null, silu);
        }

        using var scope = NewDisposeScope();
        var output = Run(input, groups, epsilon, null, null);
        output.mul_(scale.unsqueeze(-1).unsqueeze(-1)).Plus_(shift.unsqueeze(-1).unsqueeze(-1));
        return (silu ? ImageByImage.SiluInPlace(output) : output).MoveToOuterDisposeScope();
    }
}
