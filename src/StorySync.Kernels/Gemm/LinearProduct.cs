using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Computes linear layers, and what follows them, with the fastest available implementation.</summary>
internal static class LinearProduct
{
    private static readonly PackedMatrix Whole = new(Parts: 1);
    private static readonly PackedMatrix Halves = new(Parts: 2);

    /// <summary>Computes <c>x Wᵀ + b</c> over the last axis, and an epilogue.</summary>
    /// <param name="input">(…, in).</param>
    /// <param name="weight">The weight, (out, in).</param>
    /// <param name="bias">(out); null for none.</param>
    /// <param name="epilogue">What follows. <see cref="LinearEpilogue.Geglu"/> halves the outputs.</param>
    public static Tensor Run(Tensor input, WeightStorage weight, Tensor? bias, LinearEpilogue epilogue = LinearEpilogue.None)
    {
        using var scope = NewDisposeScope();
        var format = epilogue == LinearEpilogue.Geglu ? Halves : Whole;
        if (LinearKernel.Supports(input) && weight.GetOrPack(format, input.shape) is { } packed)
        {
            return LinearKernel.Apply(input, packed, weight.Shape[0] / format.Parts, bias, epilogue).MoveToOuterDisposeScope();
        }

        var output = nn.functional.linear(input, weight.Values(), bias);
        switch (epilogue)
        {
            case LinearEpilogue.GeluTanh:
                output.gelu_(GELU.Approximate.tanh);
                break;
            case LinearEpilogue.Geglu:
                var halves = output.chunk(2, dim: -1);
                output = nn.functional.gelu(halves[1]).mul_(halves[0]);
                break;
        }

        return output.MoveToOuterDisposeScope();
    }
}
